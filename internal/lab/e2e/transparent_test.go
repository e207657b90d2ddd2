package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"

	"github.com/vishvananda/netlink"
)

// With source = "client" the servers see the client's own address, on the control
// connection and on data connections.

// observer is the network of a server that writes down whom it talks to.
type observer struct {
	*lab.Host

	mu    sync.Mutex
	peers []string // "accepted ADDRESS", "dialled ADDRESS"
}

func (w *observer) saw(what string, at net.Addr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.peers = append(w.peers, what+" "+netip.MustParseAddrPort(at.String()).Addr().Unmap().String())
}

// told returns what was written down since the last time, but for the daemon
// that looks whether its backends are there.
func (w *observer) told() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer func() { w.peers = nil }()
	return slices.DeleteFunc(w.peers, func(s string) bool {
		return s == "accepted "+lab.LanV4.String() || s == "accepted "+lab.LanV6.String()
	})
}

func (w *observer) Listen(network, addr string) (net.Listener, error) {
	l, err := w.Host.Listen(network, addr)
	return observed{l, w}, err
}

func (w *observer) DialFrom(ctx context.Context, network string, from net.Addr, addr string) (net.Conn, error) {
	conn, err := w.Host.DialFrom(ctx, network, from, addr)
	if err == nil {
		w.saw("dialled", conn.RemoteAddr())
	}
	return conn, err
}

type observed struct {
	net.Listener
	by *observer
}

func (l observed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.by.saw("accepted", conn.RemoteAddr())
	}
	return conn, err
}

// admins is a masquerade of everything that leaves by either side.
const admins = `table inet admin {
	chain post { type nat hook postrouting priority srcnat; policy accept;
		masquerade
	}
}`

// transparent is one way round: where the client is, what it dials, and where
// the server is.
type transparent struct {
	name           string
	config         string
	client, server func(l *lab.Lab) *lab.Host
	v4, v6         netip.Addr // of the client
	dials          map[string][]string
	serves         []string
}

var transparents = []transparent{
	{
		"reverse", strings.Replace(services, "%s", `source = "client"`, 1),
		func(l *lab.Lab) *lab.Host { return l.Client }, func(l *lab.Lab) *lab.Host { return l.Server }, lab.ClientV4, lab.ClientV6,
		map[string][]string{gateway4: inwardModes[outside4], gateway6: inwardModes[outside6]}, []string{"10.0.0.5:21", "[fd00:10::5]:21"},
	},
	{
		"forward", strings.Replace(leading, "%s", `source = "client"`, 1),
		func(l *lab.Lab) *lab.Host { return l.Server }, func(l *lab.Lab) *lab.Host { return l.Client }, lab.ServerV4, lab.ServerV6,
		inwardModes, []string{outside4, outside6},
	},
}

func (tr transparent) own(at string) netip.Addr {
	if netip.MustParseAddrPort(at).Addr().Is4() {
		return tr.v4
	}
	return tr.v6
}

func TestTransparentSource(t *testing.T) {
	tree := labtest.Tree(t)
	for _, tr := range transparents {
		for _, filter := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, rp_filter %v", tr.name, filter), func(t *testing.T) {
				bothOwners(t, func(t *testing.T, table string) {
					l := labtest.New(t, lab.Options{Routed: true, SecondClient: true})
					if filter { // as hardened hosts and wg-quick have it
						for _, key := range []string{"conf.all.rp_filter", "conf.all.src_valid_mark"} {
							if err := l.Gateway.Sysctl("net.ipv4."+key, "1"); err != nil {
								t.Fatal(err)
							}
						}
					}
					w := &observer{Host: tr.server(l)}
					startServer(t, w, tr.serves)
					loadRules(t, tree, l.Gateway, admins)
					g := prepareGateway(t, l, tr.config+table)
					g.announced()
					tr.exercise(t, l, w)
					g.noPinholes()
				})
			})
		}
	}
}

// exercise transfers in all modes, and asks the observer.
func (tr transparent) exercise(t *testing.T, l *lab.Lab, w *observer) {
	t.Helper()
	for at, modes := range tr.dials {
		own := tr.own(at).String()
		for _, mode := range modes {
			w.told()
			c := login(t, tr.client(l), at)
			d := setUp(t, c, mode)
			if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
				t.Errorf("%s at %s: %v", mode, at, err)
			}
			want := []string{"accepted " + own, "accepted " + own}
			if d.Listen != nil {
				want[1] = "dialled " + own
			}
			if got := w.told(); !slices.Equal(got, want) {
				t.Errorf("%s at %s: the server has %q, want %q", mode, at, got, want)
			}
			if d.Listen == nil && dial(l.Client2, d) {
				t.Errorf("%s at %s: another client's connection was admitted", mode, at)
			}
			c.Close()
		}
	}
}

func startServer(t *testing.T, w *observer, at []string) {
	t.Helper()
	s := &ftpd.Server{Files: ftpd.NewTree(), Listen: w.Listen, Dial: w.DialFrom}
	if err := s.Files.PutZeros("/zero-1K", 1<<10); err != nil {
		t.Fatal(err)
	}
	serve(t, s, at...)
}

// TestTransparentMatrix is real servers, which mind the addresses of data
// connections, and clients.
func TestTransparentMatrix(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	for _, tr := range transparents {
		for _, name := range []string{debian.VSFTPD, debian.PureFTPd} {
			t.Run(tr.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				l := labtest.New(t, lab.Options{Routed: true})
				m := labtest.Matrix{Tree: tree, From: tr.client(l), Size: smallFile, Clients: []string{"curl", "ftplib"}}
				target := labtest.Target{Server: labtest.StartServer(t, tree, tr.server(l), name, 21)}
				for at := range tr.dials {
					if a := netip.MustParseAddrPort(at); a.Addr().Is4() {
						target.V4 = a
					} else {
						target.V6 = a
					}
				}
				m.Targets = append(m.Targets, target)
				g := prepareGateway(t, l, tr.config)
				g.announced()
				m.Run(t)
				g.noPinholes()
			})
		}
	}
}

// What transparent sources need of the host is there while sessions may need it,
// those of before a reload too, and goes with the daemon. What a killed one left
// is taken over, or taken down.
func TestTransparentRoutesGo(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	startFTPD(t, l)
	with, without := transparents[0].config, fmt.Sprintf(services, "")
	g := prepareGateway(t, l, with)
	present := func(when string, want bool) {
		t.Helper()
		if rules, routes := g.returnRoutes(); rules != want || routes != want {
			t.Errorf("%s: rules %v, routes %v, want %v", when, rules, routes, want)
		}
	}
	g.announced()
	present("at the start", true)
	g.kill()
	present("after a kill", true)
	g.announced()
	present("taken over", true)

	running := login(t, l.Client, gateway4)
	g.reload(without)
	for _, mode := range []string{"PASV", "PORT"} {
		if _, err := running.Download(setUp(t, running, mode), "RETR /zero-1K"); err != nil {
			t.Errorf("%s of a session that was there before the reload: %v", mode, err)
		}
	}
	running.Close()
	g.reload(with)
	login(t, l.Client, gateway4).Close()
	g.signal(syscall.SIGTERM)
	if err := g.cmd.Wait(); err != nil {
		t.Error(err)
	}
	present("after the end", false)

	g.announced()
	g.kill()
	g.configure(without)
	g.announced()
	present("without such a service, after a killed daemon with one", false)
}

// returnRoutes reports whether there are rules of ip rule that are ours, and
// routes in the table that they lead to.
func (g *gateway) returnRoutes() (rules, routes bool) {
	g.t.Helper()
	const table = 21421
	err := g.lab.Gateway.Do(func() error {
		list, err := netlink.RuleList(netlink.FAMILY_ALL)
		if err != nil {
			return err
		}
		rules = slices.ContainsFunc(list, func(r netlink.Rule) bool { return r.Table == table })
		found, err := netlink.RouteListFiltered(netlink.FAMILY_ALL, &netlink.Route{Table: table}, netlink.RT_FILTER_TABLE)
		routes = len(found) > 0
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return rules, routes
}
