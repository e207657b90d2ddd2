package proxy

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"
)

// fakeNAT is what the kernel knows of connections that it has taken to the
// relay: what their peers dialled.
type fakeNAT struct {
	mu      sync.Mutex // guards what follows
	dialled map[netip.AddrPort]netip.AddrPort
	others  netip.AddrPort // what those dialled of whom nothing else is known; zero: they were not translated
	before  func()         // called before each answer; nil: nothing
}

func (n *fakeNAT) original(conn *net.TCPConn) (netip.AddrPort, error) {
	n.mu.Lock()
	before := n.before
	n.mu.Unlock()
	if before != nil {
		before()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	at, ok := n.dialled[plain(conn.RemoteAddr())]
	switch {
	case ok:
		return at, nil
	case n.others.IsValid():
		return n.others, nil
	}
	return at, unix.ENOENT
}

func (n *fakeNAT) hold(before func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.before = before
}

// translate dials to from an address, as who dials at does where the kernel
// leads there. A zero at: the connection comes through no pinhole.
func (g *gateway) translate(from string, at, to netip.AddrPort) (*peer, error) {
	g.t.Helper()
	source := netip.MustParseAddr(from)
	note := func(_, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error { // bound before it connects, so that the answer is there before the question
			var sa unix.Sockaddr = &unix.SockaddrInet4{Addr: source.Unmap().As4()}
			if err := unix.Bind(fd, sa); err != nil {
				return err
			}
			sa, err := unix.Getsockname(fd)
			if err != nil || !at.IsValid() {
				return err
			}
			g.nat.mu.Lock()
			defer g.nat.mu.Unlock()
			g.nat.dialled[netip.AddrPortFrom(source, uint16(sa.(*unix.SockaddrInet4).Port))] = at
			return nil
		})
	}
	d := net.Dialer{Control: note, Timeout: patience}
	conn, err := d.DialContext(g.t.Context(), "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return newPeer(g.t, "data of "+from, conn), nil
}

// wantDataReset dials likewise and is reset, perhaps before it knows that it is connected.
func (g *gateway) wantDataReset(from string, at, to netip.AddrPort) {
	g.t.Helper()
	p, err := g.translate(from, at, to)
	switch {
	case err == nil:
		p.wantReset()
	case !errors.Is(err, unix.ECONNRESET):
		g.t.Fatal(err)
	}
}

// dialData dials through the pinhole that there is for from at an address.
func (g *gateway) dialData(from string, at netip.AddrPort) *peer {
	g.t.Helper()
	p, err := g.translate(from, at, g.leadsTo(from, at))
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

// leadsTo is where the pinhole for from leads, which must be the relay.
func (g *gateway) leadsTo(from string, at netip.AddrPort) netip.AddrPort {
	g.t.Helper()
	g.firewall.mu.Lock()
	hole, ok := g.firewall.holes[leaseKey{from: netip.MustParseAddr(from), at: at}]
	g.firewall.mu.Unlock()
	if !ok {
		g.t.Fatalf("no pinhole leads %s to %v", from, at)
	}
	if port := g.relayPorts.v4; hole.To != netip.AddrPortFrom(at.Addr(), port) || hole.Source.IsValid() {
		g.t.Fatalf("the pinhole %v does not lead to the relay's port %d", hole, port)
	}
	return hole.To
}

// relaying returns how many relays run.
func (g *gateway) relaying() int {
	g.relays.mu.Lock()
	defer g.relays.mu.Unlock()
	return len(g.relays.running)
}

func (g *gateway) wantNoRelays() {
	g.t.Helper()
	g.eventually("no relay runs", func() bool { return g.relaying() == 0 })
	g.eventually("none is counted", func() bool { return testutil.ToFloat64(g.Metrics.relays.WithLabelValues("files")) == 0 })
}

// relayAll has a service relay what the kernel could carry.
func relayAll(_ *Settings, s *Service) { s.Data = DataRelay }

// data is a relayed data connection with both of its peers.
type data struct{ client, server *peer }

// passiveData sets up a passive data connection and makes it.
func (d *dialogue) passiveData() data {
	d.t.Helper()
	l := listenTCP(d.t, backendAddr+":0")
	client := d.dialData(clientAddr, d.passiveTo(addrPort(l.Addr())))
	return data{client, acceptFrom(d.t, l)}
}

func (d *dialogue) activeData() data {
	d.t.Helper()
	needsPort20(d.t)
	l := listenTCP(d.t, clientAddr+":0")
	server := d.dialData(backendAddr, d.activeTo(addrPort(l.Addr())))
	return data{acceptFrom(d.t, l), server}
}

// needsPort20: active data leaves from port 20.
func needsPort20(t testing.TB) {
	t.Helper()
	c := net.ListenConfig{}
	l, err := c.Listen(t.Context(), "tcp4", "127.0.0.8:20")
	if errors.Is(err, unix.EACCES) {
		t.Skip("binding port 20 needs root")
	}
	if err == nil {
		l.Close()
	}
}

// finish says that nothing follows, in order.
func (p *peer) finish() {
	p.t.Helper()
	if p.tls != nil {
		if err := p.tls.CloseWrite(); err != nil {
			p.t.Fatalf("%s ends TLS: %v", p.name, err)
		}
	}
	if err := p.CloseWrite(); err != nil {
		p.t.Fatalf("%s ends: %v", p.name, err)
	}
}

// wantText reads as much as this, and it must be this.
func (p *peer) wantText(text string) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(text))
	if n, err := io.ReadFull(p.r, got); err != nil || string(got) != text {
		p.t.Fatalf("%s reads %q, %v; want %q", p.name, got[:n], err, text)
	}
}

// wantAll reads to the end in order, which must be behind this text.
func (p *peer) wantAll(text string) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(p.r); err != nil || string(got) != text {
		p.t.Fatalf("%s reads %q, %v; want %q and the end", p.name, got, err, text)
	}
}

// wantReset reads to the end, which must be none in order.
func (p *peer) wantReset() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if got, err := io.ReadAll(p.r); !errors.Is(err, unix.ECONNRESET) {
		p.t.Fatalf("%s reads %q, %v; want a reset", p.name, got, err)
	}
}

// carry sends a file from one end to the other, and ends.
func carry(t testing.TB, from, to *peer, text string) {
	t.Helper()
	from.write(text)
	from.finish()
	to.wantAll(text)
	to.finish()
	from.wantEnd()
}
