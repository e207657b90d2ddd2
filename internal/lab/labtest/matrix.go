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
	return StartServerWith(t, tree, h, name, port, debian.ServerOptions{})
}

// StartServerWith is StartServer for one that is not plain.
func StartServerWith(t testing.TB, tree *debian.Tree, h *lab.Host, name string, port uint16, o debian.ServerOptions) *debian.Server {
	t.Helper()
	s, err := tree.StartServer(t.Context(), h, name, t.TempDir(), port, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// Target is a server and the addresses at which something brings clients to it. An address that is not valid is left
// out.
type Target struct {
	Name   string // of its subtests; "": the server's
	Server *debian.Server
	V4, V6 netip.AddrPort
	Login  string     // what clients say for a user's name; "": the name
	TLS    debian.TLS // what clients find there
	PKI    string     // folder with the authority for it
}

// Matrix is every client in every mode and family, and with TLS in every version, against every target.
type Matrix struct {
	Tree    *debian.Tree
	From    *lab.Host // where the clients run
	Targets []Target

	Clients  []string              // nil: all
	Modes    []debian.Mode         // nil: all
	Versions []string              // of TLS, where a target has it; nil: what both ends like best
	Except   func(debian.Job) bool // leaves out what cannot work at these targets
	Size     int                   // of the files; 0: more than the sockets of both ends hold
	Parallel bool                  // all targets at once: ProFTPD accepts nobody for 0.4 s after every session
}

// Run runs the combinations that exist as subtests named server/client/mode/family, with the version of TLS behind it:
// each uploads, downloads and lists, and compares contents with the disk under the server.
func (m Matrix) Run(t *testing.T) {
	m.defaults()
	if !m.Parallel {
		m.run(t)
		return
	}
	t.Run("at once", m.run) // which waits for them all
}

func (m Matrix) run(t *testing.T) {
	for _, target := range m.Targets {
		t.Run(target.name(), func(t *testing.T) {
			if m.Parallel {
				t.Parallel()
			}
			for _, job := range m.jobs(target) {
				name := strings.Join([]string{job.Client, string(job.Mode), family(job.Server)}, "/")
				if job.Version != "" {
					name += "/" + job.Version
				}
				t.Run(name, func(t *testing.T) { m.Exercise(t, target.Server, job) })
			}
		})
	}
}

func (m *Matrix) defaults() {
	if m.Clients == nil {
		m.Clients = debian.Clients
	}
	if m.Modes == nil {
		m.Modes = debian.Modes
	}
	if m.Versions == nil {
		m.Versions = []string{""}
	}
}

// jobs are the combinations that exist at a target.
func (m Matrix) jobs(target Target) (jobs []debian.Job) {
	versions := m.Versions
	if target.TLS == debian.NoTLS {
		versions = []string{""}
	}
	for _, client := range m.Clients {
		for _, mode := range m.Modes {
			for _, addr := range []netip.AddrPort{target.V4, target.V6} {
				for _, version := range versions {
					job := debian.Job{Client: client, Mode: mode, Server: addr, Login: target.Login, TLS: target.TLS, PKI: target.PKI, Version: version}
					if addr.IsValid() && job.Can() == nil && (m.Except == nil || !m.Except(job)) {
						jobs = append(jobs, job)
					}
				}
			}
		}
	}
	return jobs
}

func (t Target) name() string {
	if t.Name != "" {
		return t.Name
	}
	return t.Server.Name
}

func family(addr netip.AddrPort) string {
	if addr.Addr().Is4() {
		return "v4"
	}
	return "v6"
}

// size is odd, and more than the sockets of both ends hold.
const size = 6<<20 + 7

// Exercise is one combination, also one that is not of the matrix. Every name and content is new, so nothing can pass
// because of an earlier one.
func (m Matrix) Exercise(t *testing.T, s *debian.Server, job debian.Job) {
	job.Dir = t.TempDir()
	up, down := "up-"+rand.Text(), "down-"+rand.Text()
	sent, offered := m.content(), m.content()
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

func (m Matrix) content() []byte {
	n := m.Size
	if n == 0 {
		n = size
	}
	data := make([]byte, n)
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
