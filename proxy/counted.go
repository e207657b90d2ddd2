package proxy

import (
	"time"

	"ftpgate/proxy/audit"
)

// newsTakes is how long conntrack's news of a connection may take, where there
// must have been one, and where there may have been none.
const (
	newsTakes  = 300 * time.Millisecond
	newsCanBe  = 60 * time.Millisecond
	failedWait = 500 * time.Millisecond
)

// lateCanBe is how long who dials when the server has given up is waited for, and
// news of who was refused right before: what has failed is known better then.
const lateCanBe = time.Second

func (e *ending) waitsForTheLate(p *pinhole) bool {
	return e.code == 425 && !p.connected.Load()
}

// counted is what a transfer has carried.
type counted struct {
	n      uint64
	source audit.Source
	flow   *flow
	relay  *relayed
}

// bytes counts a transfer's payload. settled: it is final.
func (l *ledger) bytes(e *ending, now time.Time) (c counted, settled bool) {
	t, waited := e.transfer, now.Sub(e.at)
	p := t.pinhole
	if p == nil {
		return counted{source: audit.Exact}, true
	}
	way := p.way(t.direction)
	if r := p.carrier.Load(); r != nil {
		if !r.isOver.Load() && waited < newsTakes { // what was read last is counted at its end
			return c, false
		}
		all := r.account()
		n := all[way] - min(all[way], r.taken[way])
		r.taken[way] += n
		return counted{n, audit.Exact, nil, r}, true
	}
	if e.done && !p.relayed && p.flow.Load() == nil && waited > newsTakes/2 {
		l.search(now)
	}
	f := p.flow.Load()
	switch {
	case e.waitsForTheLate(p):
		return counted{source: audit.Exact}, waited > lateCanBe
	case f == nil && p.relayed:
		return counted{source: audit.Exact}, true
	case f == nil && e.done:
		return counted{source: audit.Unknown}, waited > newsTakes+searchEvery
	case f == nil:
		return counted{source: audit.Exact}, waited > newsCanBe
	case e.tries < 4: // later the sweeps see it
		l.flowOf(f, now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !f.ending() && (e.done || waited < failedWait && e.ended == "") {
		return c, false
	}
	c = counted{n: f.take(way), source: audit.Conntrack, flow: f}
	if f.last.ID == 0 { // it was gone before anybody looked
		c.source = audit.Unknown
	}
	if e.done && !t.ascii && t.said > 0 && agrees(t.said, c.n) {
		c.n, c.source = t.said, audit.ServerText
	}
	return c, true
}

// agrees reports whether conntrack's number may be that of n bytes: it counts
// what was sent again, but never less than there was. A reply can have the name
// of a file in it, and that any number: so no more than a little is believed.
func agrees(n, counted uint64) bool { return counted >= n && counted-n <= n/20 }
