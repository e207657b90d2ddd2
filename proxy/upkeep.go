package proxy

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"

	"ftpgate/nft"
)

// connected notes that a pinhole has admitted its connection. A renewed one
// may have been renewed in the same instant, so that another is open: it goes.
// News of an earlier connection to the same port, which went elsewhere, is old.
func (ps *pinholes) connected(from netip.Addr, at, to netip.AddrPort) *pinhole {
	ps.mu.Lock()
	p := ps.find(from, at)
	var rule nft.Pinhole // of now: one that is being opened may go to another port
	if p != nil {
		rule = p.rule
	}
	late := ps.gone[newsKey{from, at, to}]
	ps.mu.Unlock()
	now := time.Now()
	if p == nil || rule.To != to {
		if late != nil && !late.connected.Swap(true) {
			late.connectedAt.Store(now.UnixNano())
			return late
		}
		return nil
	}
	if p.connected.Swap(true) {
		return nil
	}
	p.connectedAt.Store(now.UnixNano())
	p.session.service.metrics.pinholeStood(now.Sub(p.opened))
	if p.renewed.Load() {
		ps.shut(rule)
	} else {
		ps.firewall.Used(rule)
	}
	return p
}

// claim gives a connection that came to the relay the pinhole that let it in,
// once; nil if none did.
func (ps *pinholes) claim(from netip.Addr, at netip.AddrPort) *pinhole {
	ps.mu.Lock()
	p := ps.find(from, at)
	ps.mu.Unlock()
	if p == nil || !p.relayed || p.claimed.Swap(true) {
		return nil
	}
	ps.connected(from, at, p.rule.To) // conntrack says so too, but not before it
	return p
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
	due = slices.AppendSeq(due, maps.Keys(ps.passes))
	maps.DeleteFunc(ps.gone, func(_ newsKey, p *pinhole) bool { return now.Sub(p.released) > newsTakes+2*searchEvery })
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
		ps.mu.Lock()
		p.expires = now.Add(p.rule.Timeout)
		ps.mu.Unlock()
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
	for p := range ps.passes {
		all[p] = p.rule
	}
	ps.mu.Unlock()
	for p, rule := range all {
		p.revoked.Store(true)
		ps.shut(rule)
		go p.session.dropPinhole(p) // its lock may be held by a slow write
	}
	return len(all)
}
