package proxy

import (
	"net/netip"
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

// newsKey is what news of a connection say of its pinhole. A port may have been
// leased again meanwhile, to the same client, but leads elsewhere then.
type newsKey struct {
	from   netip.Addr
	at, to netip.AddrPort
}

// waits reports whether a flow is what a pinhole waits for. What is relayed
// tells of itself.
func (ps *pinholes) waits(c conntrack.Flow) bool {
	from, at, to := c.Orig.Src.Addr(), c.Orig.Dst, c.Reply.Src
	ps.mu.Lock()
	defer ps.mu.Unlock()
	for _, p := range []*pinhole{ps.find(from, at), ps.gone[newsKey{from, at, to}]} {
		if p != nil && !p.relayed && !p.connected.Load() && p.rule.To == to {
			return true
		}
	}
	return false
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
