package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"

	"github.com/prometheus/client_golang/prometheus"
)

// Who is who on the loopback network.
const (
	clientAddr  = "127.0.0.1"
	otherClient = "127.0.0.4"
	gatewayAddr = "127.0.0.2" // as clients see it
	backendAddr = "127.0.0.3"
	insideAddr  = "127.0.0.5" // the gateway, as the backend sees it
)

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// gateway is a Server under test, with one service and one backend that the
// test plays.
type gateway struct {
	*Server
	t        testing.TB
	firewall *fakeFirewall
	flows    *fakeFlows
	nat      *fakeNAT
	registry *prometheus.Registry
	log      *logbook
	audit    *fakeAuditor
	level    slog.LevelVar // of the log
	backend  *net.TCPListener
	settings Settings
}

// newGateway starts a gateway with the usual service, changed by change. When
// the test ends nothing must be left of its sessions.
func newGateway(t testing.TB, change ...func(*Settings, *Service)) *gateway {
	t.Helper()
	g := &gateway{
		t: t, firewall: &fakeFirewall{holes: map[leaseKey]nft.Pinhole{}}, flows: &fakeFlows{}, nat: &fakeNAT{dialled: map[netip.AddrPort]netip.AddrPort{}},
		registry: prometheus.NewPedanticRegistry(), log: newLogbook(t), audit: &fakeAuditor{}, backend: listenTCP(t, backendAddr+":0"),
	}
	g.level.Set(slog.LevelDebug)
	g.Server = NewServer(Options{
		Firewall: g.firewall, Flows: g.flows, Mark: 0x400, Metrics: NewMetrics(g.registry),
		Logger:   slog.New(slog.NewJSONHandler(g.log, &slog.HandlerOptions{Level: &g.level})),
		Original: g.nat.original, Audit: g.audit,
	})
	if _, err := g.ListenRelay(); err != nil {
		t.Fatal(err)
	}
	g.settings = Settings{Services: []Service{{
		Name: "files", Mode: Reverse,
		Listen:   []netip.AddrPort{netip.MustParseAddrPort(gatewayAddr + ":0")},
		Backends: []netip.AddrPort{addrPort(g.backend.Addr())},
		Ports:    PortRange{61000, 61009}, ActivePorts: PortRange{20000, 20079},
		Passive: true, Active: true, SourceAddress: netip.MustParseAddr(insideAddr),
		Timeouts: Timeouts{
			Connect: patience, Greeting: time.Minute, Login: time.Minute, Idle: time.Minute,
			Pinhole: time.Minute, TransferStart: 5 * time.Minute, Stalled: 5 * time.Minute, Drain: time.Minute,
		},
	}}}
	for _, c := range change {
		c(&g.settings, &g.settings.Services[0])
	}
	if err := g.Reload(g.settings); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.wantNothingLeft)
	ctx, stop := context.WithCancel(context.Background())
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		g.ledger.run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-settled
	})
	return g
}

// wantNothingLeft drains the server and looks for leftovers. The peers of all
// sessions have been closed by now.
func (g *gateway) wantNothingLeft() {
	g.t.Helper()
	g.Drain()
	g.eventually("no session counts at the door", func() bool {
		g.door.mu.Lock()
		defer g.door.mu.Unlock()
		return g.door.sessions == 0 && g.door.services["files"] == 0
	})
	g.pinholes.mu.Lock()
	defer g.pinholes.mu.Unlock()
	if n, m, p := len(g.pinholes.open), len(g.pinholes.share), len(g.pinholes.passes); n != 0 || m != 0 || p != 0 {
		g.t.Errorf("left behind: %d leases, %d shares of active ports, %d openings for TLS that passes", n, m, p)
	}
	if n := g.relaying(); n != 0 {
		g.t.Errorf("left running: %d relays", n)
	}
	if n := g.firewall.open(); n != 0 {
		g.t.Errorf("left open: %d pinholes: %q", n, g.firewall.taken())
	}
	families, err := g.registry.Gather()
	if err != nil {
		g.t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case nameSessions, namePinholes, namePortsInUse, nameTransfersActive, nameRelays:
			for _, m := range f.GetMetric() {
				if v := m.GetGauge().GetValue(); v != 0 {
					g.t.Errorf("%s%v is %v at the end", f.GetName(), m.GetLabel(), v)
				}
			}
		}
	}
}

// at is where the gateway listens.
func (g *gateway) at() string {
	g.t.Helper()
	return g.listening(g.settings.Services[0].Listen[0]).String()
}

// listening is where a listener of the settings, on port 0, really is.
func (g *gateway) listening(at netip.AddrPort) netip.AddrPort {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	l := g.listeners[at]
	if l == nil {
		g.t.Fatalf("nothing listens on %v", at)
	}
	return addrPort(l.Addr())
}

// dial connects a client from an address.
func (g *gateway) dial(from string) *peer {
	g.t.Helper()
	return g.dialTo(from, g.at())
}

func (g *gateway) dialTo(from, to string) *peer {
	g.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := d.Dial("tcp", to)
	if err != nil {
		g.t.Fatal(err)
	}
	return newPeer(g.t, "client", conn)
}

// accept is the backend's end of the next session.
func (g *gateway) accept() *peer {
	g.t.Helper()
	return acceptFrom(g.t, g.backend)
}

// connect begins a session.
func (g *gateway) connect() *dialogue { return g.connectFrom(clientAddr) }

func (g *gateway) connectFrom(from string) *dialogue {
	g.t.Helper()
	client := g.dial(from)
	return &dialogue{g, client, g.accept()}
}

// greeted begins a session whose server has greeted.
func (g *gateway) greeted() *dialogue { return g.greetedFrom(clientAddr) }

func (g *gateway) greetedFrom(from string) *dialogue {
	g.t.Helper()
	d := g.connectFrom(from)
	d.reply("220 ready")
	return d
}

// loggedIn begins a session whose client has logged in.
func (g *gateway) loggedIn() *dialogue { return g.loggedInFrom(clientAddr) }

func (g *gateway) loggedInFrom(from string) *dialogue {
	g.t.Helper()
	d := g.greetedFrom(from)
	d.logIn()
	return d
}

// wantEnded waits for the end of a session and says how it must have been.
func (g *gateway) wantEnded(result outcome) map[string]any {
	g.t.Helper()
	select {
	case record := <-g.log.ended:
		if record["result"] != string(result) {
			g.t.Fatalf("a session ended as %v, want %v: %v", record["result"], result, record)
		}
		return record
	case <-time.After(patience):
		g.t.Fatal("no session has ended")
	}
	return nil
}

// eventually waits for a condition.
func (g *gateway) eventually(what string, true func() bool) {
	g.t.Helper()
	eventually(g.t, what, true)
}

func eventually(t testing.TB, what string, true func() bool) {
	t.Helper()
	const pause = time.Millisecond
	for deadline := time.Now().Add(patience); !true(); time.Sleep(pause) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain waited for: %s", what)
		}
	}
}

// admitted is conntrack's entry of a new connection through a pinhole.
func admitted(from netip.Addr, at, to netip.AddrPort) conntrack.Flow {
	return conntrack.Flow{
		Orig:  conntrack.Tuple{Src: netip.AddrPortFrom(from, 40000), Dst: at},
		Reply: conntrack.Tuple{Src: to, Dst: netip.AddrPortFrom(from, 40000)},
		ID:    lastFlow.Add(1), Status: conntrack.DNAT,
	}
}

var lastFlow atomic.Uint32

// session returns the only session.
func (g *gateway) session() *session {
	g.t.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.sessions) != 1 {
		g.t.Fatalf("%d sessions, want 1", len(g.sessions))
	}
	for s := range g.sessions {
		return s
	}
	return nil
}
