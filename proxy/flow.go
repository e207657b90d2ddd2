package proxy

import (
	"errors"
	"sync/atomic"
	"time"

	"ftpgate/alg"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/cause"
	"ftpgate/proxy/relay"
)

// flow is a data connection that the kernel carries, as conntrack counts it.
// But for what never changes it belongs to the ledger's lock.
type flow struct {
	pinhole *pinhole
	orig    conntrack.Tuple
	id      uint32
	began   time.Time

	last   conntrack.Flow // as last looked at
	looked time.Time
	moved  time.Time // when data last came through
	rate   float64   // bytes per second then, both ways
	over   bool      // it has ended, or conntrack has forgotten it
	told   [2]uint64 // payload that the meters know of, by conntrack's directions
	taken  [2]uint64 // payload that records of transfers have
}

// toClient is conntrack's direction in which data goes to the client: who
// dials is the original one.
func (p *pinhole) toClient() int {
	if p.mode.Passive() {
		return 1
	}
	return 0
}

// way is conntrack's direction of a transfer's data.
func (p *pinhole) way(d alg.Direction) int {
	if d == alg.Upload {
		return 1 - p.toClient()
	}
	return p.toClient()
}

// meter counts the payload of data connections, as it goes.
type meter struct{ toClients, toServers atomic.Uint64 }

// tally is what a service has done since the daemon started.
type tally struct {
	meter
	done, failed atomic.Uint64 // transfers
	running      atomic.Int64  // those that have not ended
}

// add counts payload of a pinhole's connection.
func (p *pinhole) add(direction int, n uint64) {
	if n == 0 {
		return
	}
	s := p.session
	up := direction != p.toClient()
	for _, m := range []*meter{&s.meter, &s.service.tally.meter, &s.gateway.meter} {
		if up {
			m.toServers.Add(n)
		} else {
			m.toClients.Add(n)
		}
	}
	// Only what is a transfer's is a transfer's: a byte the other way is none.
	if d := alg.Direction(p.direction.Load()); d != 0 && (d == alg.Upload) == up {
		s.service.metrics.bytes[d].Add(float64(n))
	}
}

// see takes a newer look at the flow. Counters are those of an entry that may
// have been replaced by another one's: only the same id counts.
func (f *flow) see(now conntrack.Flow, at time.Time) {
	if now.ID != f.id {
		f.over = true
		return
	}
	before := f.last.Bytes[0] + f.last.Bytes[1]
	after := now.Bytes[0] + now.Bytes[1]
	if after != before {
		if since := at.Sub(f.looked); !f.looked.IsZero() && since > 0 {
			f.rate = float64(after-before) / since.Seconds()
		}
	} else if at.Sub(f.looked) > time.Second {
		f.rate = 0
	}
	if moves(f.last, now) {
		f.moved = at
	}
	f.last, f.looked = now, at
	f.over = now.State.Over()
	d := alg.Direction(f.pinhole.direction.Load())
	if d == 0 {
		return // nobody knows yet what it is for
	}
	for way := range f.told {
		n := now.Payload(way)
		if way != f.pinhole.way(d) && n <= now.Packets[way]*options {
			n = 0 // nothing but acknowledgements
		}
		if n > f.told[way] {
			f.pinhole.add(way, n-f.told[way])
			f.told[way] = n
		}
	}
}

// options are the most that a packet has of them besides its timestamps (RFC 9293
// §3.1): of the receiver's, selective acknowledgements. They look like payload.
const options = 28

// probe is more than a packet without data of its transfer has beyond its headers:
// a window probe, a keepalive, a selective acknowledgement.
const probe = 16

// moves reports whether data has come through between two looks: it was sent, and
// answered. Who waits for a peer that does not read goes on to probe it, and who
// has lost one to send the same again, for as long as they live.
func moves(before, now conntrack.Flow) bool {
	header := uint64(20 + 32)
	if now.Orig.Src.Addr().Is6() {
		header = 40 + 32
	}
	for way := range now.Bytes {
		bytes, packets := now.Bytes[way]-before.Bytes[way], now.Packets[way]-before.Packets[way]
		if bytes > packets*(header+probe) && now.Packets[1-way] > before.Packets[1-way] {
			return true
		}
	}
	return false
}

// ending reports whether no data comes any more: a FIN or a RST has been seen.
func (f *flow) ending() bool {
	return f.over || f.last.State >= conntrack.FinWait && f.last.State <= conntrack.Close
}

// take returns the payload of a direction that no record has yet.
func (f *flow) take(way int) uint64 {
	n := f.last.Payload(way)
	n -= min(n, f.taken[way])
	f.taken[way] += n
	return n
}

// answer is what the connection met behind the gateway.
func (f *flow) answer() cause.Answer {
	switch {
	case f.last.Connected():
		return cause.Accepted
	case f.over && f.last.ID == 0, f.last.Answered(): // of a SYN that meets a reset conntrack keeps nothing
		return cause.Refused
	case f.last.ID != 0:
		return cause.Silent
	}
	return cause.Unknown
}

// account counts what a relay has carried since the last time, and returns all
// that it has carried, by the directions of flow.
func (r *relayed) account() (all [2]uint64) {
	joined := r.joined.Load()
	if joined == nil {
		return all
	}
	r.counting.Lock()
	defer r.counting.Unlock()
	known := alg.Direction(r.pinhole.direction.Load()) != 0 // what it is for; else it is counted later
	for way, side := range r.sides() {
		all[way] = uint64(joined.CarriedFrom(side))
		if known {
			r.pinhole.add(way, all[way]-r.told[way])
			r.told[way] = all[way]
		}
	}
	return all
}

// sides are where data comes from, by the directions of flow.
func (r *relayed) sides() [2]relay.Side {
	if r.pinhole.mode.Passive() {
		return [2]relay.Side{relay.Client, relay.Server}
	}
	return [2]relay.Side{relay.Server, relay.Client}
}

// lastLook sees a flow that was cleared away, in case it is ours: the record of
// its transfer may not be written yet, nor the news of it read.
func (l *ledger) lastLook(c conntrack.Flow) {
	l.server.Connected(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if f := l.flows[c.ID]; f != nil {
		f.see(c, time.Now())
		return
	}
	l.cleared[c.ID] = c
}

// flowOf asks conntrack for the flow now. One that is not there any more is over.
func (l *ledger) flowOf(f *flow, now time.Time) {
	seen, err := l.server.Flows.Get(f.orig)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, conntrack.ErrNotFound):
		f.over = true
	case err == nil:
		f.see(seen, now)
	}
}
