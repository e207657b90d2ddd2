package debian

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWhichClientCanWhat(t *testing.T) {
	got := map[string]string{}
	for _, client := range Clients {
		for family, ip := range map[string]string{"v4": "10.0.0.5", "v6": "fd00:10::5"} {
			var can []string
			for _, mode := range Modes {
				job := Job{Client: client, Mode: mode, Server: netip.AddrPortFrom(netip.MustParseAddr(ip), 21)}
				if err := job.Can(); err == nil {
					can = append(can, string(mode))
				}
			}
			got[client+" "+family] = strings.Join(can, " ")
		}
	}
	want := map[string]string{
		"curl v4":   "PASV EPSV PORT EPRT",
		"curl v6":   "EPSV EPRT",
		"lftp v4":   "PASV EPSV PORT",
		"lftp v6":   "EPSV EPRT",
		"tnftp v4":  "PASV EPSV PORT EPRT",
		"tnftp v6":  "EPSV EPRT",
		"ftplib v4": "PASV EPSV PORT EPRT",
		"ftplib v6": "EPSV EPRT",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhichClientCanWhatWithTLS(t *testing.T) {
	server := netip.MustParseAddrPort("10.0.0.5:21")
	got := map[string]string{}
	for _, client := range Clients {
		for _, tls := range []TLS{Explicit, Implicit} {
			var can []string
			for _, mode := range Modes {
				if err := (Job{Client: client, Mode: mode, Server: server, TLS: tls, PKI: "x"}).Can(); err == nil {
					can = append(can, string(mode))
				}
			}
			got[client+" "+tls.String()] = strings.Join(can, " ")
		}
	}
	want := map[string]string{
		"curl explicit": "PASV EPSV", "curl implicit": "PASV EPSV",
		"lftp explicit": "PASV EPSV PORT", "lftp implicit": "PASV EPSV PORT",
		"ftplib explicit": "PASV EPSV PORT EPRT", "ftplib implicit": "",
		"tnftp explicit": "", "tnftp implicit": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestProtectionIsReadFromTranscripts(t *testing.T) {
	const handshake = "* SSL connection using TLSv1.3 / TLS_AES_256_GCM_SHA384\n"
	for _, tt := range []struct {
		name, transcript, want string
		job                    Job
	}{
		{"curl as asked", "> AUTH SSL\r\n" + handshake + "> PROT P\r\n", "", Job{Client: "curl", TLS: Explicit, Version: "1.3"}},
		{"curl without PROT", "> AUTH TLS\r\n" + handshake, "did not protect", Job{Client: "curl", TLS: Explicit}},
		{"curl, another version", "> AUTH TLS\r\n" + handshake + "> PROT P\r\n", "used TLS 1.3", Job{Client: "curl", TLS: Explicit, Version: "1.2"}},
		{"implicit, with AUTH", "---> AUTH TLS\n---> PROT P\n", "not implicit", Job{Client: "lftp", TLS: Implicit}},
		{"implicit", "---> PROT P\n", "", Job{Client: "lftp", TLS: Implicit}},
		{"the server's words", "< 234 AUTH TLS\n< 200 PROT P\n", "did not protect", Job{Client: "curl", TLS: Explicit}},
		{"ftplib", "*cmd* 'AUTH TLS'\n*cmd* 'PROT P'\nTLSv1.2\n", "", Job{Client: "ftplib", TLS: Explicit, Version: "1.2"}},
		{"clear", "", "", Job{Client: "curl"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.job.protected(tt.transcript)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestModesAreReadFromTranscripts(t *testing.T) {
	for _, tt := range []struct {
		name, transcript string
		want             []Mode
	}{
		{"curl falls back", "> EPSV\r\n< 500 no\r\n> PASV\r\n", []Mode{EPSV, PASV}},
		{"lftp", "<--- 211-Features\n<---  EPSV\n---> PASV\n", []Mode{PASV}},
		{"tnftp", "---> EPRT |1|198.51.100.7|40000|\n", []Mode{EPRT}},
		{"ftplib, twice", "*cmd* 'PORT 198,51,100,7,1,2'\n*cmd* 'PORT 198,51,100,7,1,3'\n", []Mode{PORT}},
		{"a server's words are no commands", "< 229 Entering EPSV\n 227 PASV\n", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := usedModes(tt.transcript); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestHostRelease(t *testing.T) {
	file := filepath.Join(t.TempDir(), "os-release")
	for text, want := range map[string]release{
		"ID=debian\nVERSION_CODENAME=bookworm\nID_LIKE=x\n":      {"debian", "bookworm"},
		"VERSION_CODENAME=\"noble\"\nID=\"ubuntu\"\nID_LIKE=x\n": {"ubuntu", "noble"},
		"ID=fedora\n": {},
	} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := hostRelease(file)
		if got != want || (err != nil) != (want == release{}) {
			t.Errorf("%q: %v (%v), want %v", text, got, err, want)
		}
	}
}

// needApt skips where there is nothing to fetch with.
func needApt(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("no apt on this host")
	}
}

// aptThrough gives apt a proxy, in place of all that the host configures: a
// proxy of the host's own would go before it.
func aptThrough(t *testing.T, proxy string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "apt.conf")
	text := fmt.Sprintf("Dir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n"+
		"Acquire::http::Proxy \"%[1]s\";\nAcquire::https::Proxy \"%[1]s\";\n", proxy)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv("APT_CONFIG", config)
}

func TestFetchSaysThatTheHostIsUnreachable(t *testing.T) {
	needApt(t)
	aptThrough(t, "http://127.0.0.1:1") // where nobody listens
	dir := t.TempDir()
	var progress bytes.Buffer
	_, err := Fetch(t.Context(), dir, &progress)
	if err == nil {
		t.Fatal("fetched without a network")
	}
	for _, want := range []string{"127.0.0.1:1", "Is the package host reachable?", "Acquire::http::Proxy"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("want %q in the error:\n%v", want, err)
		}
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "go run ./internal/lab/fetch") {
		t.Errorf("open what was not fetched: %v, want what to type", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "apt")); !os.IsNotExist(err) {
		t.Errorf("apt's folder is left behind: %v", err)
	}
}

func TestFetchIsDoneOnce(t *testing.T) {
	dir := t.TempDir()
	host, err := hostRelease("/etc/os-release")
	if err != nil {
		t.Skip(err)
	}
	f := &fetcher{dir: dir, wanted: Tests, release: host, progress: new(bytes.Buffer)}
	fresh := filepath.Join(dir, "tree.new")
	if err := os.Mkdir(fresh, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"etc/pam.d", "lib"} {
		if err := os.MkdirAll(filepath.Join(fresh, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := furnish(fresh); err != nil {
		t.Fatal(err)
	}
	if err := f.replace(fresh); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(dir, "tree")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("the tree is %v (%v), want it open to servers that change their user", info.Mode(), err)
	}
	if link, err := os.Readlink(filepath.Join(dir, "tree/bin")); link != "usr/bin" {
		t.Errorf("bin leads to %q (%v), want usr/bin", link, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel() // nothing can be run any more
	var progress bytes.Buffer
	if _, err := Fetch(ctx, dir, &progress); err != nil || progress.Len() > 0 {
		t.Errorf("second run: %v, said %q, want silence", err, &progress)
	}

	if err := os.WriteFile(filepath.Join(dir, "version"), []byte("another"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Fetch(ctx, dir, &progress); err == nil {
		t.Error("an old tree passed for a new one")
	}
}
