package labtest

import (
	"bytes"
	"crypto/rand"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
)

// Tree returns the real servers and clients, or skips the test where they have not been fetched.
func Tree(t testing.TB) *debian.Tree {
	t.Helper()
	NeedRoot(t)
	dir, err := debian.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	tree, err := debian.Open(dir)
	if err != nil {
		t.Skip(err)
	}
	return tree
}

// StartServer starts a real server for one test.
func StartServer(t testing.TB, tree *debian.Tree, h *lab.Host, name string, port uint16) *debian.Server {
	t.Helper()
	s, err := tree.StartServer(t.Context(), h, name, t.TempDir(), port)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Target is a server and the addresses at which something brings clients to it. An address that is not valid is left
// out.
type Target struct {
	Server *debian.Server
	V4, V6 netip.AddrPort
}

// Matrix is every client in every mode and family against every target.
type Matrix struct {
	Tree    *debian.Tree
	From    *lab.Host // where the clients run
	Targets []Target
}

// Run runs the combinations that exist as subtests named server/client/mode/family: each uploads, downloads and lists,
// and compares contents with the disk under the server.
func (m Matrix) Run(t *testing.T) {
	for _, target := range m.Targets {
		for _, client := range debian.Clients {
			for _, mode := range debian.Modes {
				for _, addr := range []netip.AddrPort{target.V4, target.V6} {
					job := debian.Job{Client: client, Mode: mode, Server: addr}
					if !addr.IsValid() || job.Can() != nil {
						continue
					}
					name := strings.Join([]string{target.Server.Name, client, string(mode), family(addr)}, "/")
					t.Run(name, func(t *testing.T) { m.exercise(t, target.Server, job) })
				}
			}
		}
	}
}

func family(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "v4"
	}
	return "v6"
}

// size is odd, and more than the sockets of both ends hold.
const size = 6<<20 + 7

// exercise is one combination. Every name and content is new, so nothing can pass because of an earlier one.
func (m Matrix) exercise(t *testing.T, s *debian.Server, job debian.Job) {
	job.Dir = t.TempDir()
	up, down := "up-"+rand.Text(), "down-"+rand.Text()
	sent, offered := content(), content()
	write(t, filepath.Join(job.Dir, up), sent)
	write(t, filepath.Join(s.Root, down), offered)

	transcript, err := m.Tree.Upload(t.Context(), m.From, job, up)
	m.check(t, s, "upload", transcript, err)
	same(t, "upload", transcript, filepath.Join(s.Root, up), sent)

	transcript, err = m.Tree.Download(t.Context(), m.From, job, down)
	m.check(t, s, "download", transcript, err)
	same(t, "download", transcript, filepath.Join(job.Dir, down), offered)

	text, transcript, err := m.Tree.List(t.Context(), m.From, job)
	m.check(t, s, "list", transcript, err)
	for _, name := range []string{up, down} {
		if !strings.Contains(text, name) {
			t.Errorf("list: no %s in:\n%s", name, text)
		}
	}
	for _, name := range []string{up, down} { // keep the disk, and later listings, small
		if err := os.Remove(filepath.Join(s.Root, name)); err != nil {
			t.Error(err)
		}
	}
}

func (m Matrix) check(t *testing.T, s *debian.Server, what, transcript string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v\nthe client:\n%s\nthe server:\n%s", what, err, transcript, s.Log())
	}
}

func content() []byte {
	data := make([]byte, size)
	rand.Read(data)
	return data
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// same compares a file with what must be in it.
func same(t *testing.T, what, transcript, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatalf("%s: %v\nthe client:\n%s", what, err, transcript)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%s: %d bytes arrived, and not the %d sent\nthe client:\n%s", what, len(got), len(want), transcript)
	}
}
