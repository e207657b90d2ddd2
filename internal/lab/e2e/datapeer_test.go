package e2e

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
)

// strangers are addresses of the second client outside of the prefix of the
// first, and the gateway's beside them.
var strangers = []struct{ client, gateway string }{
	{"203.0.113.8/24", "203.0.113.1/24"}, {"2001:db8:2::8/64", "2001:db8:2::1/64"},
}

// TestDataPeer is data that comes from another address than its control
// connection: from the prefix once, from elsewhere never.
func TestDataPeer(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, `data_peer = "/24,/64"`, table)
		for _, s := range strangers {
			address(t, l.Client2, lab.HostLink, s.client, true)
			address(t, l.Gateway, lab.WanLink, s.gateway, true)
		}
		for at, modes := range map[string][]string{gateway4: {"PASV", "EPSV"}, gateway6: {"EPSV"}} {
			stranger := netip.MustParsePrefix(strangers[map[string]int{gateway4: 0, gateway6: 1}[at]].client).Addr()
			login(t, from{l.Client2, stranger}, at) // it can reach the gateway
			for _, mode := range modes {
				c := login(t, l.Client, at)
				d := setUp(t, c, mode)
				if dial(from{l.Client2, stranger}, d) {
					t.Errorf("%s: a connection from %v was admitted", mode, stranger)
				}
				if n := len(g.pinholes()); n != 1 {
					t.Errorf("%s: %v left %d pinholes, want 1", mode, stranger, n)
				}
				pickedUp(t, l, c, d, mode)
				for _, h := range []*lab.Host{l.Client2, l.Client} {
					if dial(h, d) {
						t.Errorf("%s: a second connection was admitted, from %s", mode, h.Name)
					}
				}
				g.noPinholes()
				if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
					t.Errorf("%s from the client's own address: %v", mode, err)
				}
				c.Close()
			}
		}
	})
}

// pickedUp carries out a download of the client by a connection of another
// host. The server sees the address of the control connection, and minds others.
func pickedUp(t *testing.T, l *lab.Lab, c *ftpc.Client, d *ftpc.Data, mode string) {
	t.Helper()
	if err := c.Send("RETR /zero-1K"); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Client2.Dial(t.Context(), "tcp", d.At.String())
	if err != nil {
		t.Fatalf("%s: a neighbour of the client: %v", mode, err)
	}
	defer conn.Close()
	if n, err := io.Copy(io.Discard, conn); err != nil || n != 1<<10 {
		t.Errorf("%s: %d bytes arrived at the neighbour: %v", mode, n, err)
	}
	for _, class := range []int{1, 2} {
		if _, err := c.Expect(class); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// Two clients of one prefix each have a pinhole of their own: neither uses up
// the other's, and a session's end closes its own alone.
func TestDataPeerOfTwoSessions(t *testing.T) {
	l := newLab(t)
	startFTPD(t, l)
	g := startGateway(t, l, `data_peer = "/24"`, "")
	one, two := login(t, l.Client, gateway4), login(t, l.Client2, gateway4)
	first, second := setUp(t, one, "PASV"), setUp(t, two, "PASV")
	if first.At == second.At {
		t.Errorf("both may dial %v: which of them gets the data would be chance", first.At)
	}
	if n := len(g.pinholes()); n != 2 {
		t.Errorf("%d pinholes, want 2", n)
	}
	one.Close()
	eventually(t, "the pinhole of the session that ended is closed", func() bool { return len(g.pinholes()) == 1 })
	if dial(l.Client, first) {
		t.Error("the pinhole of a session that is over was open")
	}
	if _, err := two.Download(second, "RETR /zero-1K"); err != nil {
		t.Error(err)
	}
}

// from is a host that dials from one of its addresses.
type from struct {
	*lab.Host
	addr netip.Addr
}

func (f from) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return f.DialFrom(ctx, network, net.TCPAddrFromAddrPort(netip.AddrPortFrom(f.addr, 0)), addr)
}
