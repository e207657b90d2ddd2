package proxy

import (
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// changed returns the settings with another version of the service.
func (g *gateway) changed(change func(*Service)) Settings {
	s := g.settings
	s.Services = []Service{g.settings.Services[0]}
	change(&s.Services[0])
	return s
}

func (g *gateway) reload(change func(*Service)) {
	g.t.Helper()
	s := g.changed(change)
	if err := g.Reload(s); err != nil {
		g.t.Fatal(err)
	}
	g.settings = s
}

// New sessions run on new settings; those that there are keep theirs.
func TestReloadIsForNewSessions(t *testing.T) {
	g := newGateway(t)
	old := g.loggedIn()
	g.reload(func(s *Service) { s.Passive = false })
	young := g.loggedIn() // by the same listener
	young.refused("PASV", "502 This data mode is not offered here")
	old.passive()
	if n := len(g.Settings().Services); n != 1 || g.Settings().Services[0].Passive {
		t.Errorf("settings in force: %+v", g.Settings())
	}
}

// A listener that cannot be bound changes nothing, and those that were opened
// before it are closed again.
func TestReloadFails(t *testing.T) {
	g := newGateway(t)
	taken := addrPort(listenTCP(t, gatewayAddr+":0").Addr())
	free := down(t)
	err := g.Reload(g.changed(func(s *Service) {
		s.Passive = false
		s.Listen = append(s.Listen[:1:1], free, taken)
	}))
	if err == nil || !strings.Contains(err.Error(), "service files: listen on "+taken.String()) {
		t.Errorf("Reload: %v", err)
	}
	if conn, err := net.DialTimeout("tcp", free.String(), patience); err == nil {
		conn.Close()
		t.Errorf("%v is listened on", free)
	}
	g.loggedIn().passive()
	if !g.Settings().Services[0].Passive {
		t.Error("the settings have changed")
	}
}

func TestReloadWithoutListeners(t *testing.T) {
	g := newGateway(t)
	if err := g.Reload(g.changed(func(s *Service) { s.Listen = nil })); err == nil {
		t.Error("a service that listens nowhere is taken")
	}
	g.loggedIn()
}

// What no service listens on any more is closed, what is new is opened.
func TestReloadMovesAListener(t *testing.T) {
	g := newGateway(t)
	d := g.loggedIn()
	before := g.at()
	g.reload(func(s *Service) { s.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.7:0")} })
	if conn, err := net.DialTimeout("tcp", before, patience); err == nil {
		conn.Close()
		t.Errorf("%v is still listened on", before)
	}
	if !strings.HasPrefix(g.at(), "127.0.0.7:") {
		t.Fatalf("listening on %v", g.at())
	}
	g.loggedIn()
	d.passive() // its session has outlived its listener
}

// A listener goes over to another service without a gap: it is never closed.
func TestReloadHandsAListenerOver(t *testing.T) {
	g := newGateway(t)
	at := g.at()
	other := listenTCP(t, "127.0.0.6:0")
	g.reload(func(s *Service) { s.Name, s.Backends = "other", []netip.AddrPort{addrPort(other.Addr())} })
	if g.at() != at {
		t.Fatalf("listening on %v, before on %v", g.at(), at)
	}
	d := &dialogue{g, g.dial(clientAddr), acceptFrom(t, other)}
	d.reply("220 ready")
	d.client.Close()
	d.server.wantEnd()
	d.server.Close()
	if record := g.wantEnded(clientClosed); record["service"] != "other" {
		t.Errorf("the session was of %v", record["service"])
	}
}

// A backend that stays is as it was; one that goes leaves no gauge behind that
// would be alarming for ever.
func TestReloadKeepsBackends(t *testing.T) {
	first, second := down(t), down(t)
	g := newGateway(t, func(_ *Settings, s *Service) { s.Backends = []netip.AddrPort{first, second} })
	g.dial(clientAddr).want(cannotBeReached)
	g.wantBackendUp(first, 0)
	g.reload(func(s *Service) { s.Backends = s.Backends[:1] })
	g.wantBackendUp(first, 0)
	if n := testutil.CollectAndCount(g.Metrics.backendUp); n != 1 {
		t.Errorf("%d backends have a gauge, want 1", n)
	}
	g.probeBackends(t.Context())
	if err := g.Ready(); len(err) != 1 {
		t.Errorf("Ready: %v", err)
	}
}

// One backend of two services is dialled, and counted, for each of them.
func TestBackendOfTwoServices(t *testing.T) {
	at := down(t)
	g := newGateway(t, func(s *Settings, svc *Service) {
		svc.Backends = []netip.AddrPort{at}
		other := *svc
		other.Name, other.Listen = "other", []netip.AddrPort{netip.MustParseAddrPort("127.0.0.7:0")}
		s.Services = append(s.Services, other)
	})
	for range 2 { // and after a reload
		g.dial(clientAddr).want(cannotBeReached)
		g.wantBackendUp(at, 0)
		if up := testutil.ToFloat64(g.Metrics.backendUp.WithLabelValues("other", at.String())); up != 1 {
			t.Errorf("the other service's backend_up is %v, want 1", up)
		}
		if err := g.Reload(g.settings); err != nil {
			t.Fatal(err)
		}
	}
}
