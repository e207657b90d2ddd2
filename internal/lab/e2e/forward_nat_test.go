package e2e

import (
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// Both ends have a NAT gateway of their own: the client is behind the second
// gateway, the server behind the first.

// kernelServes is what an admin has today in front of a server: a dnat, and the
// kernel's helper.
const kernelServes = `table inet admin {
	ct helper ftp-standard { type "ftp" protocol tcp; }
	chain helped { type filter hook prerouting priority filter; policy accept;
		tcp dport 21 ct helper set "ftp-standard"
	}
	chain pre { type nat hook prerouting priority dstnat; policy accept;
		iifname "wan" ip daddr 198.51.100.1 tcp dport 21 dnat ip to 10.0.0.5
		iifname "wan" ip6 daddr 2001:db8:1::1 tcp dport 21 dnat ip6 to fd00:10::5
	}
	chain post { type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
	chain forward { type filter hook forward priority filter; policy drop;
		ct state established,related accept
		ct status dnat accept
	}
}`

// kernelDials is what an admin has today for clients inside: a masquerade, and
// the kernel's helper.
const kernelDials = `table inet admin {
	ct helper ftp-standard { type "ftp" protocol tcp; }
	chain helped { type filter hook prerouting priority filter; policy accept;
		tcp dport 21 ct helper set "ftp-standard"
	}
	chain post { type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
	chain forward { type filter hook forward priority filter; policy drop;
		ct state established,related accept
		iifname "lan" accept
	}
}`

// behind2 is the lab as the second gateway sees it.
func behind2(l *lab.Lab) *lab.Lab {
	other := *l
	other.Gateway = l.Gateway2
	return &other
}

// startForClient runs the forward service on the gateway that the client is behind.
func startForClient(t *testing.T, l *lab.Lab) *gateway {
	t.Helper()
	g := prepareGateway(t, behind2(l), `[[service]]
name = "out"
mode = "forward"
listen = ["0.0.0.0:2121", "[::]:2121"]
intercept.from = ["192.168.7.0/24", "fd00:77::/64"]
`)
	g.announced()
	return g
}

func TestBothEndsBehindNAT(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	for name, start := range map[string]func(t *testing.T, l *lab.Lab) []*gateway{
		"two ftpgates": func(t *testing.T, l *lab.Lab) []*gateway {
			return []*gateway{startGateway(t, l, "", ""), startForClient(t, l)}
		},
		"ftpgate and the kernel's helper at the server": func(t *testing.T, l *lab.Lab) []*gateway {
			loadRules(t, tree, l.Gateway, kernelServes)
			return []*gateway{startForClient(t, l)}
		},
		"ftpgate and the kernel's helper at the client": func(t *testing.T, l *lab.Lab) []*gateway {
			loadRules(t, tree, l.Gateway2, kernelDials)
			return []*gateway{startGateway(t, l, "", "")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, server := range debian.Servers {
				t.Run(server, func(t *testing.T) {
					t.Parallel()
					l := labtest.New(t, lab.Options{SecondGateway: true})
					m := labtest.Matrix{Tree: tree, From: l.Client, Size: smallFile, Clients: []string{"curl", "lftp"}, Except: fewer}
					m.Targets = []labtest.Target{{
						Server: labtest.StartServer(t, tree, l.Server, server, 21),
						V4:     netip.MustParseAddrPort(gateway4), V6: netip.MustParseAddrPort(gateway6),
					}}
					if server == debian.ProFTPD {
						m.Clients = m.Clients[:1]
					}
					gateways := start(t, l)
					m.Run(t)
					for _, g := range gateways {
						g.noPinholes()
					}
				})
			}
		})
	}
}

// Without help at the client's end there is no active data: what the matrix
// shows is the gateways' doing.
func TestBothEndsBehindNATNeedHelp(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{SecondGateway: true})
	startOn(t, l.Server, &ftpd.Server{}, "10.0.0.5:21")
	loadRules(t, tree, l.Gateway2, masquerade)
	startGateway(t, l, "", "")
	c := login(t, l.Client, gateway4)
	if d, err := c.SetUp("PORT"); err == nil {
		d.Close()
		t.Error("a PORT with an address behind the client's NAT is taken")
	}
}

// Two ftpgates in a row tell each other no lies: what the client dials is the
// public address of the server's gateway, what the server dials is its own
// gateway, and each of the pinholes on the way is used once.
func TestTwoGatewaysInARow(t *testing.T) {
	l := labtest.New(t, lab.Options{SecondGateway: true})
	startOn(t, l.Server, &ftpd.Server{}, "10.0.0.5:21", "[fd00:10::5]:21")
	reverse, forward := startGateway(t, l, "", ""), startForClient(t, l)
	for at, modes := range map[string][]string{gateway4: {"PASV", "EPSV", "PORT", "EPRT"}, gateway6: {"EPSV", "EPRT"}} {
		public := netip.MustParseAddrPort(at).Addr()
		c := login(t, l.Client, at)
		for _, mode := range modes {
			d := setUp(t, c, mode)
			if d.At.IsValid() && d.At.Addr() != public {
				t.Errorf("%s leads the client to %v, want %v", mode, d.At, public)
			}
			if n, m := len(forward.pinholes()), len(reverse.pinholes()); n != 1 || m != 1 {
				t.Errorf("%s: %d and %d pinholes, want one each", mode, n, m)
			}
			if err := c.Send("RETR /zero-1K"); err != nil {
				t.Fatal(err)
			}
			conn, err := d.Open()
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if from := netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr(); from != public {
				t.Errorf("%s: data of %v, want %v", mode, from, public)
			}
			for _, class := range []int{1, 2} {
				if _, err := c.Expect(class); err != nil {
					t.Errorf("%s: %v", mode, err)
				}
			}
			if mode == "PASV" && dial(l.Client, d) {
				t.Errorf("%s: a second connection was admitted", mode)
			}
		}
		c.Close()
	}
	forward.noPinholes()
	reverse.noPinholes()
}
