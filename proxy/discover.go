package proxy

import (
	"time"

	"ftpgate/nft/conntrack"
)

// Events tell of connections that something translates, as they begin. Those
// that nothing does (routed, with source = "client") and those whose event was
// lost are found among the flows of a sweep.

// Swept takes a look at all of our flows, as conntrack has them: those of its
// own that are missing have ended unseen.
func (s *Server) Swept(flows []conntrack.Flow) { s.ledger.swept(flows, time.Now()) }

// discover takes the flows that nobody has told of for the connections of
// pinholes that wait for one.
func (l *ledger) discover(unknown []conntrack.Flow) {
	for _, c := range unknown {
		if l.server.pinholes.waits(c) {
			l.server.Connected(c)
		}
	}
}

// waits reports whether a flow is what a pinhole waits for. What is relayed
// tells of itself.
func (ps *pinholes) waits(c conntrack.Flow) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	p := ps.find(c.Orig.Src.Addr(), c.Orig.Dst)
	if p == nil {
		p = ps.gone[leaseKey{c.Orig.Src.Addr(), c.Orig.Dst, 0}]
	}
	return p != nil && !p.relayed && !p.connected.Load() && p.rule.To == c.Reply.Src
}

// searchEvery is how often conntrack is read for connections without news.
const searchEvery = time.Second

// search looks for the connection of a transfer that is done and of which there
// was no news.
func (l *ledger) search(now time.Time) {
	if now.Sub(l.searched) < searchEvery {
		return
	}
	l.searched = now
	if flows, err := l.server.Flows.Dump(l.server.Mark, l.server.Mark); err == nil {
		l.swept(flows, now)
	}
}
