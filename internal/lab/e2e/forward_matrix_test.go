package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"net"
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// TestForwardMatrix is clients inside that dial real servers outside and know
// nothing of a gateway: servers × clients × modes × families.
func TestForwardMatrix(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	l := forwardLab(t)
	m := labtest.Matrix{Tree: tree, From: l.Server, Size: smallFile, Parallel: true}
	m.Targets = outsideTargets(t, tree, l, debian.ServerOptions{})
	// ProFTPD's patience is the longest, so there are two, for half of the clients each.
	other := labtest.Target{
		Name: "proftpd-2", Server: labtest.StartServer(t, tree, l.Client, debian.ProFTPD, 2400),
		V4: netip.AddrPortFrom(lab.ClientV4, 2400), V6: netip.AddrPortFrom(lab.ClientV6, 2400),
	}
	m.Targets = append(m.Targets, other)
	m.Except = func(job debian.Job) bool {
		half := job.Client == "curl" || job.Client == "lftp"
		return job.Server.Port() == 2400 && half || job.Server.Port() == 2200 && !half
	}
	g := startForward(t, l, theirPorts, "")
	m.Run(t)
	g.noPinholes()
	for _, direction := range []string{"download", "upload", "listing"} {
		series := `ftpgate_transfers_total{direction="` + direction + `",result="done",service="out"}`
		if v := g.metric(series); v == "" || v == "0" {
			t.Errorf("%s is %q after the matrix", series, v)
		}
	}
}

// The same clients on two hosts inside, which are one address to the servers, at
// the same time.
func TestForwardMatrixOfTwoHosts(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	l := forwardLab(t)
	targets := outsideTargets(t, tree, l, debian.ServerOptions{})
	g := startForward(t, l, theirPorts, "")
	t.Run("at once", func(t *testing.T) {
		for _, host := range []*lab.Host{l.Server, l.Server2} {
			t.Run(host.Name, func(t *testing.T) {
				t.Parallel()
				labtest.Matrix{Tree: tree, From: host, Size: smallFile, Clients: []string{"curl"}, Targets: targets, Except: fewer}.Run(t)
			})
		}
	})
	g.noPinholes()
}

// Two hosts inside whose data connections are open at the same time, to the
// same server: each has its own file. Both even listen on the same port.
func TestForwardTwoHostsBehindOneAddress(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := forwardLab(t)
		files, want := ftpd.NewTree(), map[string][]byte{}
		for _, name := range []string{"/first", "/second"} {
			want[name] = make([]byte, 300<<10)
			rand.Read(want[name])
			files.Put(name, want[name])
		}
		startOn(t, l.Client, &ftpd.Server{Files: files}, outside4, outside6)
		g := startForward(t, l, "", table)
		for at, modes := range inwardModes {
			for i, mode := range modes {
				first := login(t, fromPort{l.Server, uint16(40_000 + i)}, at)
				second := login(t, fromPort{l.Server2, uint16(40_000 + i)}, at)
				one, two := setUp(t, first, mode), setUp(t, second, mode)
				if n := len(g.pinholes()); n != 2 {
					t.Errorf("%s: %d pinholes for two hosts, want 2", mode, n)
				}
				connOne, connTwo := begun(t, first, one, "/first"), begun(t, second, two, "/second")
				whole(t, second, connTwo, mode, want["/second"])
				whole(t, first, connOne, mode, want["/first"])
				first.Close()
				second.Close()
			}
		}
		g.noPinholes()
	})
}

// begun is the data connection of a download that has begun.
func begun(t *testing.T, c *ftpc.Client, d *ftpc.Data, name string) net.Conn {
	t.Helper()
	if err := c.Send("RETR " + name); err != nil {
		t.Fatal(err)
	}
	conn, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := c.Expect(1); err != nil {
		t.Fatal(err)
	}
	return conn
}

// whole reads the rest of a download and compares it.
func whole(t *testing.T, c *ftpc.Client, conn net.Conn, what string, want []byte) {
	t.Helper()
	var got bytes.Buffer
	_, err := got.ReadFrom(conn)
	conn.Close()
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s: %d bytes arrived, and not the %d of the file: %v", what, got.Len(), len(want), err)
	}
	if _, err := c.Expect(2); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// fromPort is a host whose clients have all that they choose on one port: that
// on which they listen.
type fromPort struct {
	*lab.Host
	port uint16
}

func (f fromPort) Listen(network, addr string) (net.Listener, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, err
	}
	return f.Host.Listen(network, netip.AddrPortFrom(at.Addr(), f.port).String())
}

func (f fromPort) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return f.Host.Dial(ctx, network, addr)
}
