package proxy

import (
	"errors"
	"log/slog"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

// pinholes are all that are open. The table of them is the table of port
// leases too: a port is free for whoever does not dial it yet.
type pinholes struct {
	firewall Firewall
	flows    Flows
	mark     uint32
	log      *slog.Logger
	relay    *relayPorts

	mu     sync.Mutex // guards what follows
	open   map[leaseKey]*pinhole
	gone   map[newsKey]*pinhole  // closed lately: news of their connections may still come
	share  map[activeShare]int   // active ports that a client holds at a backend
	wide   map[int]struct{}      // prefix lengths that pinholes have had
	passes map[*pinhole]struct{} // those of TLS that passes: they hold no port of ours
}

// pinhole is one that a session has opened. All but connected belongs to the
// session's lock.
type pinhole struct {
	id       alg.ID
	mode     alg.Mode
	session  *session
	to       netip.AddrPort // whom its connection is for; the rule may lead to our relay
	relayed  bool
	taken    bool // the relay carries its connection, or has carried it
	private  bool // relayed, and TLS with the client
	rule     nft.Pinhole
	share    activeShare // zero when passive
	released time.Time   // when its port was given back; belongs to pinholes.mu
	opened   time.Time
	expires  time.Time // as the kernel sees it

	fate  string    // an outcome; "": it is open
	ended time.Time // when it had that

	renewed     atomic.Bool  // its element may be another one than its connection used
	connected   atomic.Bool  // a connection has come through it
	connectedAt atomic.Int64 // when, in nanoseconds since 1970; 0: not yet
	claimed     atomic.Bool  // and the relay has it
	revoked     atomic.Bool  // an administrator has closed all

	direction atomic.Uint32             // alg.Direction of the transfer that uses it; 0: not known yet
	flow      atomic.Pointer[flow]      // its connection, as the kernel carries it
	carrier   atomic.Pointer[relayed]   // or as the relay does
	broke     atomic.Pointer[dataBreak] // what kept the relay from it
}

func newPinholes(o Options, relay *relayPorts) *pinholes {
	return &pinholes{
		firewall: o.Firewall, flows: o.Flows, mark: o.Mark, log: o.Logger, relay: relay,
		open: map[leaseKey]*pinhole{}, gone: map[newsKey]*pinhole{}, share: map[activeShare]int{}, passes: map[*pinhole]struct{}{}, wide: map[int]struct{}{},
	}
}

// activePort is where active data comes from, whatever port the control
// connection uses (RFC 959 §3.2: port 20 beside 21).
const activePort = 20

// add leases a port and opens the pinhole that a verdict asks for. It returns
// when the kernel has it, with the port to announce.
func (ps *pinholes) add(s *session, o alg.Open, now time.Time) (*pinhole, alg.Reason) {
	p := &pinhole{id: o.ID, mode: o.Mode, session: s, to: o.To, private: o.Private, opened: now, expires: now.Add(s.service.Timeouts.Pinhole)}
	p.rule = nft.Pinhole{To: o.To, Timeout: s.service.Timeouts.Pinhole, Comment: s.comment(o.Mode)}
	if o.Mode == alg.ModeAUTH {
		return ps.pass(s, p)
	}
	var why alg.Reason
	if p.relayed, why = s.needsRelay(o); why != alg.NoReason {
		return nil, why
	}
	ports, at := s.lay(p, o)
	if p.relayed {
		p.rule.To, p.rule.Source = ps.relay.at(at), netip.AddrPort{}
	} else if !o.Mode.Passive() {
		if why := ps.clearFlow(p); why != alg.NoReason {
			return nil, why
		}
	}
	if ports == (PortRange{}) {
		return ps.openExactly(o.To, p)
	}
	return ps.openOn(at, ports, p)
}

// lay fills in who dials a pinhole and what its connection leaves from, and
// returns at what address and on which ports it is dialled; no ports: at its
// target itself. Whoever sees the other side's own address dials that.
func (s *session) lay(p *pinhole, o alg.Open) (ports PortRange, at netip.Addr) {
	forward, seen := s.outside == s.server && s.service.Mode == Forward, s.service.FromClient
	inside, outside := netip.AddrPortFrom(s.inside.Addr(), 0), netip.AddrPortFrom(s.outside.Addr(), activePort)
	if o.Mode.Passive() {
		p.rule.From = s.client.Addr()
		if !seen {
			p.rule.Source = inside
		}
		if forward {
			return PortRange{}, o.To.Addr()
		}
		p.rule.Peers = s.service.PeerBits.of(s.client.Addr())
		if s.service.Mode == Forward { // the client named the server, and dials us for data too
			return s.service.ActivePorts, s.outside.Addr()
		}
		return s.service.Ports, s.outside.Addr()
	}
	p.rule.From = s.server.Addr()
	if !forward { // else the server's own address is the one that the client knows
		p.rule.Source = outside
	}
	if seen {
		return PortRange{}, o.To.Addr()
	}
	p.share = activeShare{s.server.Addr(), s.client.Addr()}
	return s.service.ActivePorts, s.inside.Addr()
}

// pass opens what TLS that passes the gateway needs: no port is known, so the
// client gets at those that the service declares, a few connections at a time.
func (ps *pinholes) pass(s *session, p *pinhole) (*pinhole, alg.Reason) {
	p.rule.From, p.rule.At = s.client.Addr(), netip.AddrPortFrom(s.outside.Addr(), 0)
	p.rule.Source, p.rule.Flows = netip.AddrPortFrom(s.inside.Addr(), 0), s.service.TLS.PassFlows
	if err := ps.firewall.Open(p.rule); err != nil {
		ps.log.Error("the ports for TLS that passes could not be opened", "sid", s.id, "pinhole", p.rule, "error", err)
		return nil, alg.NoPinhole
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.passes[p] = struct{}{}
	return p, alg.NoReason
}

// openOn leases one of the ports at an address and opens p there. A port on
// which somebody before us has left a pinhole is passed over.
func (ps *pinholes) openOn(at netip.Addr, ports PortRange, p *pinhole) (*pinhole, alg.Reason) {
	opened := false
	defer func() {
		if !opened {
			ps.release(p)
		}
	}()
	first := randomBelow(ports.Size()) // RFC 2577 §8
	for range maxTries {
		if !ps.lease(p, ports, at, first) {
			return nil, alg.NoPorts
		}
		err := ps.firewall.Open(p.rule)
		if err == nil {
			opened = true
			return p, alg.NoReason
		}
		if !errors.Is(err, nft.ErrExists) {
			ps.log.Error("a pinhole could not be opened", "sid", p.session.id, "pinhole", p.rule, "error", err)
			return nil, alg.NoPinhole
		}
		ps.release(p)
		first = int(p.rule.At.Port()-ports.First) + 1
	}
	ps.log.Error("a pinhole could not be opened: somebody else has one at each port that was tried", "sid", p.session.id,
		"from", p.rule.From, "at", at, "first_port", ports.First, "last_port", ports.Last)
	return nil, alg.NoPinhole
}

const maxTries = 4

// openExactly opens p where its connection goes to anyway.
func (ps *pinholes) openExactly(at netip.AddrPort, p *pinhole) (*pinhole, alg.Reason) {
	if !ps.lease(p, PortRange{at.Port(), at.Port()}, at.Addr(), 0) {
		return nil, alg.NoPorts
	}
	if err := ps.firewall.Open(p.rule); err != nil {
		ps.release(p)
		ps.log.Error("a pinhole could not be opened", "sid", p.session.id, "pinhole", p.rule, "error", err)
		return nil, alg.NoPinhole
	}
	return p, alg.NoReason
}

// clearFlow removes what an ended active connection to the same port of the
// client left in conntrack: its SYN would belong to that entry and be lost.
func (ps *pinholes) clearFlow(p *pinhole) alg.Reason {
	source := p.rule.Source
	if !source.IsValid() {
		source = netip.AddrPortFrom(p.rule.From, activePort)
	}
	reply := conntrack.Tuple{Src: p.rule.To, Dst: source}
	was, busy, err := ps.flows.Clear(reply, ps.mark)
	if was.ID != 0 {
		p.session.gateway.ledger.lastLook(was)
	}
	if err != nil {
		ps.log.Warn("conntrack could not be asked for an old active connection; the pinhole is opened all the same",
			"client_port", p.rule.To, "error", err)
	}
	if busy {
		return alg.BusyPort
	}
	return alg.NoReason
}

// remove closes a pinhole and gives its port back.
func (ps *pinholes) remove(p *pinhole) {
	if ps.release(p) {
		ps.shut(p.rule)
	}
}

func (ps *pinholes) shut(rule nft.Pinhole) {
	if err := ps.firewall.Close(rule); err != nil {
		ps.log.Error("a pinhole could not be closed; the kernel ends it by itself",
			"pinhole", rule, "within", rule.Timeout, "error", err)
	}
}

// comment is what nft list shows at a pinhole of the session.
func (s *session) comment(m alg.Mode) string {
	kind := " active"
	switch {
	case m.Passive():
		kind = " passive"
	case m == alg.ModeAUTH:
		kind = " pass"
	}
	return s.service.Name + "/" + strconv.FormatUint(s.id, 10) + kind
}
