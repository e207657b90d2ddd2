package proxy

import (
	"crypto/rand"
	"encoding/binary"
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

	mu    sync.Mutex // guards what follows
	open  map[leaseKey]*pinhole
	share map[activeShare]int // active ports that a client holds at a backend
}

// leaseKey is what makes a pinhole unique: who dials what.
type leaseKey struct {
	from netip.Addr
	at   netip.AddrPort
}

type activeShare struct{ backend, client netip.Addr }

// pinhole is one that a session has opened. All but connected belongs to the
// session's lock.
type pinhole struct {
	id      alg.ID
	mode    alg.Mode
	session *session
	rule    nft.Pinhole
	share   activeShare // zero when passive
	opened  time.Time
	expires time.Time // as the kernel sees it

	renewed   atomic.Bool // its element may be another one than its connection used
	connected atomic.Bool // a connection has come through it
}

func (p *pinhole) key() leaseKey { return leaseKey{p.rule.From, p.rule.At} }

func newPinholes(o Options) *pinholes {
	return &pinholes{
		firewall: o.Firewall, flows: o.Flows, mark: o.Mark, log: o.Logger,
		open: map[leaseKey]*pinhole{}, share: map[activeShare]int{},
	}
}

// activePort is where active data comes from, whatever port the control
// connection uses (RFC 959 §3.2: port 20 beside 21).
const activePort = 20

// add leases a port and opens the pinhole that a verdict asks for. It returns
// when the kernel has it, with the port to announce.
func (ps *pinholes) add(s *session, o alg.Open, now time.Time) (*pinhole, alg.Reason) {
	p := &pinhole{id: o.ID, mode: o.Mode, session: s, opened: now, expires: now.Add(s.service.Timeouts.Pinhole)}
	p.rule = nft.Pinhole{To: o.To, Timeout: s.service.Timeouts.Pinhole, Comment: s.comment(o.Mode)}
	ports, at := s.service.Ports, s.outside.Addr()
	if o.Mode.Passive() {
		p.rule.From, p.rule.Source = s.client.Addr(), netip.AddrPortFrom(s.inside.Addr(), 0)
	} else {
		ports, at = s.service.ActivePorts, s.inside.Addr()
		p.rule.From, p.rule.Source = s.server.Addr(), netip.AddrPortFrom(s.outside.Addr(), activePort)
		p.share = activeShare{s.server.Addr(), s.client.Addr()}
		if why := ps.clearFlow(p); why != alg.NoReason {
			return nil, why
		}
	}
	return ps.openOn(at, ports, p)
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
	return nil, alg.NoPinhole
}

const maxTries = 4

// clearFlow removes what an ended active connection to the same port of the
// client left in conntrack: its SYN would belong to that entry and be lost.
func (ps *pinholes) clearFlow(p *pinhole) alg.Reason {
	busy, err := ps.flows.Clear(conntrack.Tuple{Src: p.rule.To, Dst: p.rule.Source}, ps.mark)
	if err != nil {
		ps.log.Warn("conntrack could not be asked for an old active connection; the pinhole is opened all the same",
			"client_port", p.rule.To, "error", err)
	}
	if busy {
		return alg.BusyPort
	}
	return alg.NoReason
}

// activeShareOf bounds what one client can take of a backend's active ports:
// an eighth, so that a few clients cannot leave the others without.
func activeShareOf(r PortRange) int { return max(1, r.Size()/8) }

// randomBelow returns an unpredictable number below n.
func randomBelow(n int) int {
	var seed [4]byte
	_, _ = rand.Read(seed[:]) // never fails
	return int(binary.NativeEndian.Uint32(seed[:]) % uint32(n))
}

// lease takes the next port from the first-th on that is free for p.
func (ps *pinholes) lease(p *pinhole, ports PortRange, at netip.Addr, first int) bool {
	size := ports.Size()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	active := p.share != activeShare{}
	if active && ps.share[p.share] >= activeShareOf(ports) {
		return false
	}
	for i := range size {
		port := ports.First + uint16((first+i)%size)
		p.rule.At = netip.AddrPortFrom(at, port)
		if ps.open[p.key()] == nil {
			ps.open[p.key()] = p
			if active {
				ps.share[p.share]++
			}
			return true
		}
	}
	return false
}

// release gives the port back. It reports whether p still held it.
func (ps *pinholes) release(p *pinhole) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if ps.open[p.key()] != p {
		return false
	}
	delete(ps.open, p.key())
	if p.share != (activeShare{}) {
		if ps.share[p.share]--; ps.share[p.share] == 0 {
			delete(ps.share, p.share)
		}
	}
	return true
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

// connected notes that a pinhole has admitted its connection. A renewed one
// may have been renewed in the same instant, so that another is open: it goes.
// News of an earlier connection to the same port, which went elsewhere, is old.
func (ps *pinholes) connected(from netip.Addr, at, to netip.AddrPort) {
	ps.mu.Lock()
	p := ps.open[leaseKey{from, at}]
	var rule nft.Pinhole // of now: one that is being opened may go to another port
	if p != nil {
		rule = p.rule
	}
	ps.mu.Unlock()
	if p == nil || rule.To != to || p.connected.Swap(true) {
		return
	}
	p.session.service.metrics.pinholeStood(time.Since(p.opened))
	if p.renewed.Load() {
		ps.shut(rule)
	} else {
		ps.firewall.Used(rule)
	}
}

// tick renews and expires. Sessions are asked one by one, outside of mu.
func (ps *pinholes) tick(now time.Time) {
	ps.mu.Lock()
	var due []*pinhole
	for _, p := range ps.open {
		if !p.connected.Load() {
			due = append(due, p)
		}
	}
	ps.mu.Unlock()
	for _, p := range due {
		p.session.tend(p, now)
	}
}

// renew gives an unused pinhole its whole timeout again.
func (ps *pinholes) renew(p *pinhole, now time.Time) {
	p.renewed.Store(true)
	switch err := ps.firewall.Renew(p.rule); {
	case err == nil:
		p.expires = now.Add(p.rule.Timeout)
		if p.connected.Load() {
			ps.shut(p.rule)
		}
	case !errors.Is(err, nft.ErrMissing):
		ps.log.Error("a pinhole could not be renewed", "pinhole", p.rule, "error", err)
	}
}

func (ps *pinholes) closeAll() int {
	ps.mu.Lock()
	all := make(map[*pinhole]nft.Pinhole, len(ps.open))
	for _, p := range ps.open {
		all[p] = p.rule
	}
	ps.mu.Unlock()
	for p, rule := range all {
		ps.shut(rule)
		go p.session.dropPinhole(p) // its lock may be held by a slow write
	}
	return len(all)
}

// comment is what nft list shows at a pinhole of the session.
func (s *session) comment(m alg.Mode) string {
	kind := " active"
	if m.Passive() {
		kind = " passive"
	}
	return s.service.Name + "/" + strconv.FormatUint(s.id, 10) + kind
}
