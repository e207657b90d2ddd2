package alg

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what the machine does into testdata/*.txt; read the diff")

// TestDialogues replays the scripts in testdata. A line at the margin is an
// event, the indented lines below it are all that the machine makes of it:
//
//	session client=2001:db8::7 server=fd00::5 passive=off active=off peer strict own=10.0.0.5:3000
//	session tls=terminate require implicit · tls=pass data
//	                          a new session with these settings
//	login                     the greeting and a login, of which nothing is noted
//	C PASV                    the client sends a line, CRLF added
//	C "PASV\n"                the client sends these bytes, Go-quoted
//	S 227 …                   the same for the server
//	refuse nft                the next pinhole cannot be had
//	broken 1 data_broken      the relayed connection of pinhole 1 failed
//	finishes 226 done         what Machine.Finishes says of the line
//	resumed                   the TLS that passed is over
//	  > PASV                  to the server
//	  < 227 …                 to the client
//	  open 1 PASV 10.0.0.5:50000 at 198.51.100.1:61001 private
//	  close 1 done
//	  transfer upload done 1  the transfer and its pinhole
//	  refused bounce · login ok · login failed · foreign · wait · end not_ftp
//	  tls starts · tls ends · tls goes through · tls lost · restart
//
// Passive pinholes open at 198.51.100.1 (or 2001:db8:1::1), active ones at
// 10.0.0.1 (or fd00:10::1), at 61000 or 20000 and the pinhole's ID.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := replay(t, string(script), 0)
			if *rewrite {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(strings.Split(string(script), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", file, diff)
			}
		})
	}
}

// TestDialoguesInSegments replays them with the streams cut into segments of
// one and of three bytes (edge 1, edge 16): nothing may depend on segments.
func TestDialoguesInSegments(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, segment := range []int{1, 3} {
			if diff := cmp.Diff(string(script), replay(t, string(script), segment)); diff != "" {
				t.Errorf("%s in segments of %d bytes (-want +got):\n%s", file, segment, diff)
			}
		}
	}
}

// replay returns the script with the machine's own doings in place of the
// indented lines. The streams come in segments of so many bytes; 0: as they are.
func replay(t *testing.T, script string, segment int) string {
	t.Helper()
	p := newPlayer(Config{Passive: true, Active: true})
	p.segment = segment
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "  ") {
			continue
		}
		out.WriteString(line)
		did, err := p.event(strings.TrimSuffix(line, "\n"))
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		for _, d := range did {
			fmt.Fprintf(&out, "  %s\n", d)
		}
	}
	return out.String()
}
