package replay

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/alg"
	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
)

// TestRealLogs replays what real clients print of transfers with a real server: every
// line must find its place, and each set-up its pinhole.
func TestRealLogs(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{Routed: true})
	_, certificates := labtest.PKI(t)
	for port, server := range map[uint16]debian.ServerOptions{
		21: {}, 2121: {TLS: debian.Explicit, PKI: certificates},
	} {
		s := labtest.StartServerWith(t, tree, l.Server, "vsftpd", port, server)
		for _, client := range debian.Clients {
			for _, mode := range debian.Modes {
				job := debian.Job{
					Client: client, Mode: mode, Server: netip.AddrPortFrom(lab.ServerV4, port), Dir: t.TempDir(), TLS: server.TLS, PKI: server.PKI,
				}
				if job.Can() != nil {
					continue
				}
				name := client + "/" + string(mode)
				o := plain()
				if server.TLS != debian.NoTLS {
					name += "/TLS"
					o.Service.TLS.Mode = alg.TerminateTLS
				}
				t.Run(name, func(t *testing.T) {
					name := file(t, job.Dir)
					log, err := tree.Upload(t.Context(), l.Client, job, name)
					checkLog(t, log, err, o)
					if err := os.Remove(filepath.Join(job.Dir, name)); err != nil {
						t.Fatal(err)
					}
					log, err = tree.Download(t.Context(), l.Client, job, name)
					checkLog(t, log, err, o)
					_, log, err = tree.List(t.Context(), l.Client, job)
					checkLog(t, log, err, o)
				})
			}
		}
		s.Stop()
	}
}

// file makes a file to send, and returns its name.
func file(t *testing.T, dir string) string {
	t.Helper()
	const name = "file.txt"
	if err := os.WriteFile(filepath.Join(dir, name), []byte("some text\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func checkLog(t *testing.T, log string, err error, o Options) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, version := range []string{"TLSv1.2\n", "TLSv1.3\n"} { // the lab has ftplib's script print that
		log = strings.ReplaceAll(log, "\n"+version, "\n")
	}
	got, sum := printed(t, []byte(log), o)
	refused := 0
	for _, n := range sum.Refusals {
		refused += n
	}
	if sum.Sessions != 1 || sum.Done == 0 || sum.Failed+sum.Open != 0 || sum.Pinholes == 0 || sum.Unread != 0 || sum.Ended != 0 || refused > 0 {
		t.Errorf("the log is understood as %+v:\n%s\nthe log:\n%s", sum, got, log)
	}
	if strings.Contains(got, "no command waits") || strings.Contains(got, "begins no reply") {
		t.Errorf("replies do not find their commands:\n%s\nthe log:\n%s", got, log)
	}
}
