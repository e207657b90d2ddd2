package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
)

// beside is a gateway's host with such a firewall.
type beside struct {
	*patient
	neighbour
	owned bool   // our table is
	dir   string // of its files, as they are now
}

// exposed: a reload removes our table.
func (b *beside) exposed() bool { return b.flushes && !b.owned }

// untranslates: for a moment no nat chain is there at all. The kernel then translates
// nothing, connections that run included, and some of those are cut.
func (b *beside) untranslates() bool { return b.exposed() && !b.nats }

// moveIn starts a firewall on a host with a server, with what ftpgate needs of it
// or without; no daemon runs yet.
func moveIn(t *testing.T, n neighbour, helped bool, keys, tables string) *beside {
	t.Helper()
	b := near(usual(t, keys, tables), n, helped)
	b.owned = !strings.Contains(tables, `owner = "off"`)
	return b
}

// near is moveIn on a host of any configuration.
func near(p *patient, n neighbour, helped bool) *beside {
	p.t.Helper()
	b := &beside{patient: p, neighbour: n, owned: true, dir: p.t.TempDir()}
	b.install()
	b.pretend()
	b.write(helped)
	b.script("start")
	return b
}

// write writes the firewall's files, with what ftpgate needs or without.
func (b *beside) write(helped bool) {
	b.t.Helper()
	from := filepath.Join("testdata", "beside", b.name)
	files, err := os.ReadDir(from)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.dir, f.Name()), []byte(edited(string(text), helped)), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

func edited(text string, helped bool) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		switch added, found := strings.CutPrefix(strings.TrimLeft(line, "\t"), "#+ "); {
		case found && helped:
			out.WriteString(added)
		case found, helped && strings.HasSuffix(line, "#-\n"):
		default:
			out.WriteString(line)
		}
	}
	return out.String()
}

// script runs start or reload. No command in them may fail, whatever rules of ours
// it meets.
func (b *beside) script(name string) {
	b.t.Helper()
	if out, err := b.asInstalled("set -e; . ./" + name); err != nil {
		b.t.Fatalf("%s of %s: %v: %s", name, b.name, err, out)
	}
}

// asInstalled runs a command line in the tree, in the folder of the firewall's
// files, with the host's shell: hundreds of commands are slow if each enters the
// tree by itself. The programs of iptables have the names that installing gives them.
func (b *beside) asInstalled(line string) (string, error) {
	binds := []debian.Bind{{Host: b.dir, Inside: "/conf"}, {Host: "/bin", Inside: "/srv"}}
	cmd := b.tree.Command(b.t.Context(), b.lab.Gateway, binds, "/srv/dash", "-c", "cd /conf; PATH=/conf/bin:$PATH; "+line)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// install makes those names.
func (b *beside) install() {
	b.t.Helper()
	if err := os.Mkdir(filepath.Join(b.dir, "bin"), 0o755); err != nil {
		b.t.Fatal(err)
	}
	for _, family := range []string{"iptables", "ip6tables"} {
		for _, verb := range []string{"", "-restore", "-save"} {
			if err := os.Symlink("/usr/sbin/"+family+"-nft"+verb, filepath.Join(b.dir, "bin", family+verb)); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// pretend puts in the places of firewalld's and ufw's own programs what those
// were seen to do when they are told what the doctor says.
func (b *beside) pretend() {
	b.t.Helper()
	for name, script := range map[string]string{
		"ufw": `case "$*" in
"allow proto tcp to 198.51.100.1 port 21") iptables -A ufw-user-input -p tcp -d 198.51.100.1 --dport 21 -j ACCEPT;;
"allow proto tcp to 2001:db8:1::1 port 21") ip6tables -A ufw6-user-input -p tcp -d 2001:db8:1::1 --dport 21 -j ACCEPT;;
*) exit 2;; esac`,
		"firewall-cmd": `case "$*" in
"--permanent --zone=public --add-port=21/tcp") ;;
"--reload") nft add rule inet firewalld filter_IN_public_allow tcp dport 21 accept;;
*) exit 2;; esac`,
	} {
		if err := os.WriteFile(filepath.Join(b.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			b.t.Fatal(err)
		}
	}
}

// blocked waits for this long: what is dropped is answered by nobody.
const blocked = 400 * time.Millisecond

// reaches reports whether a connection from outside is made. What should be is
// given time.
func (b *beside) reaches(at string, want bool) bool {
	b.t.Helper()
	patience := blocked
	if want {
		patience = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(b.t.Context(), patience)
	defer cancel()
	c, err := b.lab.Client.Dial(ctx, "tcp", at)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// modesAt are the modes of an address's family.
func modesAt(at string) []string {
	return map[string][]string{gateway4: {"PASV", "EPSV", "PORT", "EPRT"}, gateway6: {"EPSV", "EPRT"}}[at]
}

// transfersOf makes one of each kind in one session. Active data comes from port
// 20 of the address that the client knows, whatever masquerades it.
func (b *beside) transfersOf(c *ftpc.Client, at string) {
	b.t.Helper()
	for _, mode := range modesAt(at) {
		d := setUp(b.t, c, mode)
		var from net.Addr
		if d.Listen != nil {
			d.Listen = &witness{d.Listen, &from}
		}
		if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
			b.t.Errorf("%s at %s: %v", mode, at, err)
		} else if want := strings.TrimSuffix(at, ":21") + ":20"; from != nil && from.String() != want {
			b.t.Errorf("%s at %s: data came from %v, want %s", mode, at, from, want)
		}
	}
}

// witness sees who dials.
type witness struct {
	net.Listener
	from *net.Addr
}

func (w *witness) Accept() (net.Conn, error) {
	c, err := w.Listener.Accept()
	if err == nil {
		*w.from = c.RemoteAddr()
	}
	return c, err
}

func (w *witness) SetDeadline(t time.Time) error {
	return w.Listener.(interface{ SetDeadline(time.Time) error }).SetDeadline(t)
}

// stream is a download that runs.
type stream struct {
	client *ftpc.Client
	conn   net.Conn
}

const streamed = 64 << 20

func (b *beside) stream(at string) *stream {
	b.t.Helper()
	c := login(b.t, b.lab.Client, at)
	d := setUp(b.t, c, "EPSV")
	if err := c.Send("RETR /zero-64M"); err != nil {
		b.t.Fatal(err)
	}
	conn, err := d.Open()
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
		b.t.Fatal(err)
	}
	return &stream{c, conn}
}

// finish reads what is left.
func (s *stream) finish() error {
	_ = s.conn.SetDeadline(time.Now().Add(s.client.Timeout))
	n, err := io.Copy(io.Discard, s.conn)
	if err != nil {
		return err
	}
	if n != streamed-1<<20 {
		return fmt.Errorf("%d bytes came, want %d", n, streamed-1<<20)
	}
	s.conn.Close()
	if _, err := s.client.Expect(1); err != nil {
		return err
	}
	_, err = s.client.Expect(2)
	return err
}

// stop ends the daemon as an admin does.
func (b *beside) stop() {
	b.t.Helper()
	b.signal(syscall.SIGTERM)
	if err := b.cmd.Wait(); err != nil {
		b.t.Errorf("the daemon ended with %v", err)
	}
}
