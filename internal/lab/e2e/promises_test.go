package e2e

import (
	"context"
	"net"
	"net/netip"
	"regexp"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
)

// The nine promises of a pinhole, each with real packets, with an owned table
// and with a plain one.

// Promise 1: a pinhole exists before the line that announces it leaves.
func TestPinholeIsThereBeforeItsLine(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", table)
		for _, at := range []string{gateway4, gateway6} {
			c := login(t, l.Client, at)
			mode := map[string]string{gateway4: "PASV", gateway6: "EPSV"}[at]
			for i := range 200 { // a pinhole that came a moment later would be missed by some
				if !dial(l.Client, setUp(t, c, mode)) {
					t.Fatalf("%s: dial %d after the reply was refused", mode, i)
				}
			}
		}
	})
}

// Promise 2: one source, one destination address and port. (SYN only: package nft.)
func TestPinholeAdmitsOneSource(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", table)
		for at, mode := range map[string]string{gateway4: "PASV", gateway6: "EPSV"} {
			c := login(t, l.Client, at)
			d := setUp(t, c, mode)
			if dial(l.Client2, d) {
				t.Errorf("%s: another client's connection was admitted", mode)
			}
			next := *d
			next.At = netip.AddrPortFrom(d.At.Addr(), d.At.Port()+1)
			if dial(l.Client, &next) {
				t.Errorf("%s: a connection to the next port was admitted", mode)
			}
			if n := len(g.pinholes()); n != 1 {
				t.Errorf("%s: the strangers left %d pinholes, want 1", mode, n)
			}
			if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
				t.Errorf("%s: the client itself: %v", mode, err)
			}
		}
	})
}

// Promise 3: once. Edges 58 and 62.
func TestPinholeAdmitsOnce(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		first, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if dial(l.Client, d) {
			t.Error("a second connection was admitted")
		}
	})
}

// Promise 4: unused, it expires in the kernel; it is renewed while its data
// command waits.
func TestPinholeExpires(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "timeouts.pinhole = \"2s\"\ntimeouts.transfer_start = \"20s\"", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		g.noPinholes()
		if dial(l.Client, d) {
			t.Error("a connection was admitted after the timeout")
		}
		expired := `ftpgate_pinholes_total{mode="PASV",outcome="expired",service="files"}`
		eventually(t, "the expiry is counted", func() bool { return g.metric(expired) == "1" })

		d = setUp(t, c, "PASV")
		if err := c.Send("RETR /zero-1K"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // more than twice the timeout
		defer cancel()
		<-ctx.Done()
		if !dial(l.Client, d) {
			t.Error("the pinhole of an outstanding command was not renewed")
		}
	})
}

// Promise 5: it closes at a final 4xx or 5xx, at the next set-up, at ABOR, at
// REIN, at the session's end. Edges 33, 52, 53, 54, 67.
func TestPinholeCloses(t *testing.T) {
	for _, what := range []struct {
		name string
		do   func(t *testing.T, l *lab.Lab, c *ftpc.Client)
	}{
		{"at a final 550", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { _ = c.Must(5, "RETR /no-such-file") }},
		{"at ABOR", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { _ = c.Must(2, "ABOR") }},
		{"at QUIT", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { _ = c.Must(2, "QUIT") }},
		{"at the client's end", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { c.Close() }},
		{"at the client's reset", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) {
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			c.Close()
		}},
	} {
		for _, mode := range []string{"PASV", "PORT"} {
			t.Run(what.name+"/"+mode, func(t *testing.T) {
				l := newLab(t)
				startFTPD(t, l)
				g := startGateway(t, l, "", "")
				c := login(t, l.Client, gateway4)
				setUp(t, c, mode)
				if n := len(g.pinholes()); n != 1 {
					t.Fatalf("%d pinholes after %s, want 1", n, mode)
				}
				what.do(t, l, c)
				g.noPinholes()
			})
		}
	}
	t.Run("at the next set-up", func(t *testing.T) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", "")
		c := login(t, l.Client, gateway4)
		old := setUp(t, c, "PASV")
		for _, mode := range []string{"PASV", "PORT", "EPSV", "PORT"} {
			setUp(t, c, mode)
			if list := g.pinholes(); len(list) != 1 {
				t.Fatalf("after %s: %v, want one pinhole", mode, list)
			}
		}
		if dial(l.Client, old) {
			t.Error("the first pinhole is still open")
		}
	})
}

// Promise 6: after kill -9 nothing stays open longer than its timeout, and the
// bytes of a running transfer go on.
func TestKillLeavesNothingOpen(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "timeouts.pinhole = \"1s\"", table)
		idle := login(t, l.Client, gateway4)
		unused := setUp(t, idle, "PASV")
		g.kill()
		if n := len(g.pinholes()); n != 1 {
			t.Errorf("%d pinholes right after the kill, want 1 that expires by itself", n)
		}
		g.noPinholes()
		if dial(l.Client, unused) {
			t.Error("the pinhole was open after its timeout")
		}
		g.start() // adopts the orphan
		if _, err := login(t, l.Client, gateway4).Download(setUp(t, login(t, l.Client, gateway4), "PASV"), "NOOP"); err == nil {
			t.Error("a data command on another session than the set-up's succeeded")
		}
		c := login(t, l.Client, gateway4)
		if _, err := c.Download(setUp(t, c, "PASV"), "RETR /zero-1K"); err != nil {
			t.Errorf("after the restart: %v", err)
		}
	})
}

// Promise 9: nft list table names session and service at each element.
func TestComments(t *testing.T) {
	tree := labtest.Tree(t)
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", table)
		setUp(t, login(t, l.Client, gateway4), "PASV")
		setUp(t, login(t, l.Client, gateway4), "PORT")
		setUp(t, login(t, l.Client, gateway6), "EPSV")
		setUp(t, login(t, l.Client, gateway6), "EPRT")
		out, err := nftList(t, tree, l)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, form := range []string{`comment "files/\d+ passive"`, `comment "files/\d+ active"`} {
			if n := len(regexp.MustCompile(form).FindAllString(out, -1)); n < 2 { // one of each family
				t.Errorf("nft list has %d elements with %s, want 2 or more:\n%s", n, form, out)
			}
		}
	})
}

func nftList(t *testing.T, tree *debian.Tree, l *lab.Lab) (string, error) {
	t.Helper()
	out, err := tree.Command(t.Context(), l.Gateway, nil, "nft", "list", "table", "inet", "ftpgate").CombinedOutput()
	return string(out), err
}
