package e2e

import (
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"

	"github.com/vishvananda/netlink"
)

// cloud is what stands in front of a rented host: its public address is
// translated to the one that the host has, and nobody gets there otherwise.
const cloud = `table ip cloud {
	chain pre { type nat hook prerouting priority dstnat; policy accept;
		ip daddr 203.0.113.1 dnat to 198.51.100.1
	}
	chain post { type nat hook postrouting priority srcnat; policy accept;
		ip saddr 198.51.100.1 snat to 203.0.113.1
	}
	chain forward { type filter hook forward priority filter; policy accept;
		iifname "lan" ct original ip daddr 198.51.100.1 drop
	}
}`

// startCloud is a gateway whose public address is on no interface: the second
// gateway translates it.
func startCloud(t *testing.T, tree *debian.Tree, keys string) (*lab.Lab, *gateway) {
	t.Helper()
	l := labtest.New(t, lab.Options{SecondGateway: true})
	loadRules(t, tree, l.Gateway2, cloud)
	onLink(t, l.Gateway, lab.WanLink, func(nl *netlink.Handle, wan netlink.Link) error {
		return nl.RouteAdd(&netlink.Route{LinkIndex: wan.Attrs().Index, Gw: lab.Wan2V4.AsSlice()})
	})
	return l, startGateway(t, l, keys, "")
}

const public4 = "203.0.113.1:21"

// TestAdvertiseMatrix is real servers and clients with a 1:1 NAT between them
// and the gateway.
func TestAdvertiseMatrix(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	l, g := startCloud(t, tree, `advertise = "203.0.113.1"`)
	m := labtest.Matrix{Tree: tree, From: l.Client, Size: smallFile, Targets: []labtest.Target{{
		Server: labtest.StartServer(t, tree, l.Server, debian.VSFTPD, 21), V4: netip.MustParseAddrPort(public4),
	}}}
	m.Run(t)
	g.noPinholes()
}

// What clients are told and see, and that it is advertise that does it.
func TestAdvertiseBehindOneToOneNAT(t *testing.T) {
	tree := labtest.Tree(t)
	for _, advertised := range []bool{true, false} {
		keys, told := "", lab.WanV4
		if advertised {
			keys, told = `advertise = "203.0.113.1"`, netip.MustParseAddr("203.0.113.1")
		}
		l, _ := startCloud(t, tree, keys)
		startFTPD(t, l)
		c := login(t, impatient{l.Client}, public4)
		d := setUp(t, c, "PASV")
		if d.At.Addr() != told {
			t.Errorf("advertise %q: PASV leads to %v, want %v", keys, d.At, told)
		}
		if reached := dial(l.Client, d); reached != advertised {
			t.Errorf("advertise %q: the client gets at %v: %v", keys, d.At, reached)
		}
		for _, mode := range []string{"EPSV", "PORT", "EPRT"} { // which name no address of ours
			d := setUp(t, c, mode)
			if err := c.Send("RETR /zero-1K"); err != nil {
				t.Fatal(err)
			}
			conn, err := d.Open()
			if err != nil {
				t.Fatalf("%s: %v", mode, err)
			}
			conn.Close()
			if peer := netip.MustParseAddrPort(conn.RemoteAddr().String()); peer.Addr().String() != "203.0.113.1" || d.Listen != nil && peer.Port() != 20 {
				t.Errorf("%s: data of %v, want the public address, and port 20 where it dials", mode, peer)
			}
			for _, class := range []int{1, 2} {
				if _, err := c.Expect(class); err != nil {
					t.Errorf("%s: %v", mode, err)
				}
			}
		}
	}
}

// Each client is told the first address that fits it, and its pinhole is at the
// address that it dialled, whatever the text says.
func TestAdvertiseTo(t *testing.T) {
	l := labtest.New(t, lab.Options{SecondClient: true, SecondServer: true})
	startFTPD(t, l)
	g := prepareGateway(t, l, `[[service]]
name = "files"
listen = ["198.51.100.1:21", "10.0.0.1:21", "[2001:db8:1::1]:21"]
backends = ["10.0.0.5:21", "[fd00:10::5]:21"]
tls.mode = "refuse"
advertise = "203.0.113.1"
advertise_to = [
	{ clients = "198.51.100.8/32", address = "203.0.113.8" },
	{ clients = "198.51.100.8/29", address = "203.0.113.9" },
	{ clients = "10.0.0.0/8", address = "10.0.0.1" },
]
`)
	g.start()
	for _, tt := range []struct {
		client   *lab.Host
		at, told string
	}{
		{l.Client, gateway4, "203.0.113.1"},
		{l.Client2, gateway4, "203.0.113.8"},
		{l.Server2, "10.0.0.1:21", "10.0.0.1"},
		{l.Server2, gateway4, "10.0.0.1"}, // told by who it is, not by what it dialled
	} {
		c := login(t, tt.client, tt.at)
		d := setUp(t, c, "PASV")
		if d.At.Addr().String() != tt.told {
			t.Errorf("%s at %s is led to %v, want %s", tt.client.Name, tt.at, d.At, tt.told)
		}
		d.At = netip.AddrPortFrom(netip.MustParseAddrPort(tt.at).Addr(), d.At.Port())
		if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
			t.Errorf("%s at %v: %v", tt.client.Name, d.At, err)
		}
		if _, err := c.Download(setUp(t, c, "EPSV"), "RETR /zero-1K"); err != nil {
			t.Errorf("%s: EPSV: %v", tt.client.Name, err)
		}
	}
	g.noPinholes()
}

// TestHairpin is clients inside that dial the public address, on another host
// than the server's and on the server's own.
func TestHairpin(t *testing.T) {
	l := forwardLab(t)
	startFTPD(t, l)
	g := startGateway(t, l, "", "")
	for _, client := range []*lab.Host{l.Server2, l.Server} {
		for at, modes := range map[string][]string{gateway4: {"PASV", "EPSV", "PORT", "EPRT"}, gateway6: {"EPSV", "EPRT"}} {
			for _, mode := range modes {
				c := login(t, client, at)
				if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
					t.Errorf("%s, %s at %s: %v", client.Name, mode, at, err)
				}
			}
		}
	}
	g.noPinholes()
}

// Real servers mind the addresses of data connections.
func TestHairpinMatrix(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	for _, name := range debian.Servers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := forwardLab(t)
			g := startGateway(t, l, "", "")
			labtest.Matrix{Tree: tree, From: l.Server2, Size: smallFile, Clients: []string{"curl"}, Except: fewer, Targets: []labtest.Target{{
				Server: labtest.StartServer(t, tree, l.Server, name, 21),
				V4:     netip.MustParseAddrPort(gateway4), V6: netip.MustParseAddrPort(gateway6),
			}}}.Run(t)
			g.noPinholes()
		})
	}
}
