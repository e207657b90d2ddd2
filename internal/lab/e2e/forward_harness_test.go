package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// In forward mode the clients are where the lab has its servers, inside, with a
// default route through the gateway. Servers are where it has its clients.

// leading is a service for the clients inside; %s is for more of its keys.
const leading = `
[[service]]
name = "out"
mode = "forward"
listen = ["0.0.0.0:2121", "[::]:2121"]
intercept.from = ["10.0.0.0/24", "fd00:10::/64"]
%s
`

// The server outside, as clients inside dial it, and the listener at which it
// cannot be had.
const (
	outside4  = "198.51.100.7:21"
	outside6  = "[2001:db8:1::7]:21"
	listener4 = "10.0.0.1:2121"
	listener6 = "[fd00:10::1]:2121"
)

// inwardModes are the modes of a client at each address of the server outside.
var inwardModes = map[string][]string{outside4: {"PASV", "EPSV", "PORT", "EPRT"}, outside6: {"EPSV", "EPRT"}}

// masquerade is what an admin has for everything else that goes outside.
const masquerade = `table inet admin {
	chain post { type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" masquerade
	}
}`

func forwardLab(t testing.TB) *lab.Lab {
	t.Helper()
	return labtest.New(t, lab.Options{SecondServer: true, SecondClient: true})
}

// startForward runs the daemon with the forward service and more of its keys.
func startForward(t testing.TB, l *lab.Lab, keys, tables string) *gateway {
	t.Helper()
	g := prepareGateway(t, l, fmt.Sprintf(leading, keys)+tables)
	g.announced()
	return g
}

// announced starts the daemon and waits until it says that it is ready: all that
// it intercepts is intercepted then, which /readyz does not say.
func (g *gateway) announced() {
	g.t.Helper()
	const ready = "msg=ready"
	before := strings.Count(g.log.String(), ready)
	g.start()
	eventually(g.t, "the daemon says that it is ready", func() bool { return strings.Count(g.log.String(), ready) > before })
}

// reload has the daemon read another configuration.
func (g *gateway) reload(config string) {
	g.t.Helper()
	const done = `msg="configuration reloaded"`
	before := strings.Count(g.log.String(), done)
	g.configure(config)
	g.signal(syscall.SIGHUP)
	eventually(g.t, "the reload is done", func() bool { return strings.Count(g.log.String(), done) > before })
}

// startOn puts a small FTP server on a host. Fields of the server that say where
// it is are filled in.
func startOn(t testing.TB, h *lab.Host, s *ftpd.Server, at ...string) {
	t.Helper()
	if s.Files == nil {
		s.Files = ftpd.NewTree()
		if err := s.Files.PutZeros("/zero-1K", 1<<10); err != nil {
			t.Fatal(err)
		}
	}
	s.Listen, s.Dial = h.Listen, h.DialFrom
	serve(t, s, at...)
}

// serve has a server answer at addresses of its host.
func serve(t testing.TB, s *ftpd.Server, at ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	for _, a := range at {
		listener, err := s.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := s.Serve(ctx, listener); err != nil {
				t.Errorf("ftpd: %v", err)
			}
		})
	}
}

// loadRules loads a ruleset on a host.
func loadRules(t testing.TB, tree *debian.Tree, h *lab.Host, ruleset string) {
	t.Helper()
	cmd := tree.Command(t.Context(), h, nil, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft -f on %s: %v: %s\n%s", h.Name, err, out, ruleset)
	}
}

// outsideTargets are the real servers, outside, each on a port of its own.
func outsideTargets(t *testing.T, tree *debian.Tree, l *lab.Lab, o debian.ServerOptions) (targets []labtest.Target) {
	t.Helper()
	for i, name := range debian.Servers {
		port := outsidePorts[i]
		targets = append(targets, labtest.Target{
			Server: labtest.StartServerWith(t, tree, l.Client, name, port, o),
			V4:     netip.AddrPortFrom(lab.ClientV4, port),
			V6:     netip.AddrPortFrom(lab.ClientV6, port),
			TLS:    o.TLS, PKI: o.PKI,
		})
	}
	return targets
}

var outsidePorts = []uint16{2100, 2200, 2300}

// theirPorts has them intercepted.
const theirPorts = "intercept.ports = [2100, 2200, 2300, 2400]"

// fewer leaves out the extended modes with IPv4, which TestForwardMatrix has:
// ProFTPD accepts nobody for a while after every session.
func fewer(job debian.Job) bool {
	return job.Server.Addr().Is4() && (job.Mode == debian.EPSV || job.Mode == debian.EPRT)
}

// sessions is how many have ended well.
func (g *gateway) sessions() string {
	return g.metric(`ftpgate_sessions_total{result="quit",service="out"}`)
}
