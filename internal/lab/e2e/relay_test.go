package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
)

// relayServers are enough to see that data is relayed. ProFTPD takes half a
// minute for what the others do in five seconds.
var relayServers = []string{debian.VSFTPD, debian.PureFTPd}

// relayedFile is odd, and more than the sockets of one connection hold.
const relayedFile = 2<<20 + 7

// TestRelayMatrix is data in clear that the gateway carries because the service
// says so: real servers × clients × modes × families.
func TestRelayMatrix(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	m := labtest.Matrix{Tree: tree, From: l.Client, Size: relayedFile, Parallel: true}
	config := ""
	for i, name := range relayServers {
		port, outside := uint16(12_100+100*i), uint16(2100+i)
		config += fmt.Sprintf("[[service]]\nname = %q\nlisten = [\"198.51.100.1:%d\", \"[2001:db8:1::1]:%[2]d\"]\n"+
			"backends = [\"10.0.0.5:%d\", \"[fd00:10::5]:%[3]d\"]\ntls.mode = \"refuse\"\ndata = \"relay\"\n", name, outside, port)
		m.Targets = append(m.Targets, labtest.Target{
			Server: labtest.StartServer(t, tree, l.Server, name, port),
			V4:     netip.AddrPortFrom(lab.WanV4, outside),
			V6:     netip.AddrPortFrom(lab.WanV6, outside),
		})
	}
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
}

// TestRelayToLoopback is servers on the gateway itself that nobody else can
// reach. The kernel would not route to them.
func TestRelayToLoopback(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	m := labtest.Matrix{Tree: tree, From: l.Client, Size: smallFile, Parallel: true}
	config := ""
	for i, name := range relayServers {
		port, outside := uint16(12_100+100*i), uint16(2100+i)
		config += fmt.Sprintf("[[service]]\nname = %q\nlisten = [\"198.51.100.1:%d\", \"[2001:db8:1::1]:%[2]d\"]\n"+
			"backends = [\"127.0.0.1:%d\", \"[::1]:%[3]d\"]\ntls.mode = \"refuse\"\n", name, outside, port)
		m.Targets = append(m.Targets, labtest.Target{
			Server: labtest.StartServer(t, tree, l.Gateway, name, port),
			V4:     netip.AddrPortFrom(lab.WanV4, outside),
			V6:     netip.AddrPortFrom(lab.WanV6, outside),
		})
	}
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
}

// The promises of a pinhole hold where it leads to the relay: one peer, once,
// timed, gone with the session, from the addresses of the control connections.
func TestRelayKeepsThePromises(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "data = \"relay\"\ntimeouts.pinhole = \"2s\"", table)
		for at, modes := range map[string][]string{gateway4: {"PASV", "PORT"}, gateway6: {"EPSV", "EPRT"}} {
			c := login(t, l.Client, at)
			if d := setUp(t, c, modes[0]); dial(l.Client2, d) {
				t.Errorf("%s: another client's connection was admitted", modes[0])
			}
			for _, mode := range modes {
				d := setUp(t, c, mode)
				if err := c.Send("RETR /zero-64M"); err != nil {
					t.Fatal(err)
				}
				conn, err := d.Open()
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				eventually(t, "the transfer is carried here", func() bool { return g.metric(`ftpgate_relays{service="files"}`) == "1" })
				if d.Listen == nil && dial(l.Client, d) {
					t.Errorf("%s: a second connection was admitted", mode)
				}
				if from := conn.RemoteAddr().(*net.TCPAddr); d.Listen != nil && from.Port != 20 {
					t.Errorf("%s: data comes from %v, want port 20", mode, from)
				}
				if n, err := io.Copy(io.Discard, conn); err != nil || n != 64<<20 {
					t.Errorf("%s: %d bytes arrived: %v", mode, n, err)
				}
				conn.Close()
				for _, class := range []int{1, 2} {
					if _, err := c.Expect(class); err != nil {
						t.Errorf("%s: %v", mode, err)
					}
				}
				eventually(t, "the relay is over", func() bool { return g.metric(`ftpgate_relays{service="files"}`) == "0" })
			}
			unused := setUp(t, c, modes[0])
			g.noPinholes() // after its timeout
			if dial(l.Client, unused) {
				t.Errorf("%s: a connection was admitted after the timeout", modes[0])
			}
			last := setUp(t, c, modes[0])
			c.Close()
			g.noPinholes()
			if dial(l.Client, last) {
				t.Errorf("%s: a connection was admitted after the session", modes[0])
			}
		}
	})
}
