package proxy

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ftpgate/alg"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/audit"
	"ftpgate/proxy/failures"
)

// ledger knows the data connections that run, and writes down the transfers
// that have ended when all of them is known: their bytes, and why they failed.
// Sessions hand over and go on; one goroutine does the rest.
//
// A transfer's final reply may overtake its last bytes, so that conntrack is
// asked again until it has seen the connection's end.
type ledger struct {
	server   *Server
	failures failures.Log
	history  history
	wake     chan struct{}

	searched time.Time // owned by run

	mu      sync.Mutex // guards what follows, and the flows
	flows   map[uint32]*flow
	past    map[uint32]struct{}       // flows that have ended and that conntrack still has
	cleared map[uint32]conntrack.Flow // those that were cleared away before we knew them, until the next sweep
	waiting []*ending
	fresh   []*ending
}

// ending is a transfer that has ended on the control connection, or the end of a
// session (without a transfer), behind which none of its transfers may come.
type ending struct {
	session  *session
	transfer *transfer
	at       time.Time
	who      audit.Who
	done     bool
	ended    outcome // of the session, if that came first
	code     int
	reply    string
	fates    []api.Fate
	lines    []api.Line
	earlier  []netip.AddrPort // what pinholes before the transfer's were dialled at
	last     *audit.SessionEnd

	due   time.Time
	tries int
}

// name is how explain calls it.
func (e *ending) name() string { return e.transfer.name(e.session.id) }

func newLedger(s *Server) *ledger {
	return &ledger{server: s, flows: map[uint32]*flow{}, past: map[uint32]struct{}{}, cleared: map[uint32]conntrack.Flow{}, wake: make(chan struct{}, 1)}
}

// settleEvery is how often endings are looked at: what came together is
// written together, and a goroutine wakes for all of them once.
const settleEvery = 10 * time.Millisecond

// finish takes a transfer that has ended.
func (l *ledger) finish(e *ending) {
	e.due = e.at.Add(settleEvery)
	if e.transfer != nil {
		e.session.unsettled.Add(1)
	}
	l.mu.Lock()
	l.fresh = append(l.fresh, e)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run settles endings until ctx is done, and then what is left, as it is.
func (l *ledger) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := l.settleDue(time.Now(), false)
		timer.Reset(next)
		select {
		case <-ctx.Done():
			l.settleDue(time.Now(), true)
			return
		case <-timer.C:
		case <-l.wake:
			if next > settleEvery { // else it comes at once anyway
				timer.Reset(settleEvery)
				select {
				case <-ctx.Done():
				case <-timer.C:
				}
			}
		}
	}
}

// settleDue settles what is due, and returns how long nothing else is.
func (l *ledger) settleDue(now time.Time, all bool) time.Duration {
	l.mu.Lock()
	l.waiting = append(l.waiting, l.fresh...)
	l.fresh = nil
	waiting := l.waiting
	l.waiting = nil
	l.mu.Unlock()
	next := time.Hour
	left := waiting[:0]
	for _, e := range waiting {
		if !all && e.due.After(now) || !l.settle(e, now, all || len(waiting) > maxWaiting) {
			left = append(left, e)
			next = min(next, e.due.Sub(now))
		}
	}
	clear(waiting[len(left):])
	l.mu.Lock()
	l.waiting = left
	l.mu.Unlock()
	return max(next, time.Millisecond)
}

// maxWaiting bounds the transfers whose connections go on behind their final replies.
const maxWaiting = 1 << 14

// settle writes down an ending if all of it is known, or must be; else it says
// when to come back.
func (l *ledger) settle(e *ending, now time.Time, must bool) bool {
	if e.transfer == nil {
		if e.session.unsettled.Load() > 0 && !must {
			e.due = now.Add(5 * settleEvery)
			return false
		}
		e.last.ToClient, e.last.ToServer = e.session.meter.toClients.Load(), e.session.meter.toServers.Load()
		l.server.Audit.Write(*e.last)
		return true
	}
	b, settled := l.bytes(e, now)
	if !settled && !must {
		e.tries++
		e.due = now.Add(min(settleEvery<<min(e.tries, 8), 2*time.Second))
		return false
	}
	l.write(e, b)
	e.session.unsettled.Add(-1)
	return true
}

// opened makes a flow of a connection that a pinhole has admitted.
func (l *ledger) opened(p *pinhole, c conntrack.Flow, now time.Time) {
	if p.relayed || c.ID == 0 {
		return
	}
	f := &flow{pinhole: p, orig: c.Orig, id: c.ID, began: now, moved: now, looked: now}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flows[c.ID] = f
	p.flow.Store(f)
	if last, ok := l.cleared[c.ID]; ok {
		f.see(last, now)
	}
}

func (l *ledger) swept(flows []conntrack.Flow, now time.Time) {
	there := make(map[uint32]struct{}, len(flows))
	var unknown []conntrack.Flow
	l.mu.Lock()
	for _, c := range flows {
		there[c.ID] = struct{}{}
		if f := l.flows[c.ID]; f != nil {
			f.see(c, now)
		} else if _, ended := l.past[c.ID]; !ended {
			unknown = append(unknown, c)
		}
	}
	for id, f := range l.flows {
		if _, ok := there[id]; !ok && now.Sub(f.began) > time.Second { // else it began behind the sweep
			f.over = true
		}
		switch {
		case f.over:
			delete(l.flows, id)
			l.past[id] = struct{}{}
		case now.Sub(f.moved) > f.pinhole.session.service.Timeouts.Stalled:
			go f.pinhole.session.standsStill(f.pinhole) // its lock may be held by a slow write
		}
	}
	clear(l.cleared)
	maps.DeleteFunc(l.past, func(id uint32, _ struct{}) bool { _, ok := there[id]; return !ok })
	l.mu.Unlock()
	l.discover(unknown)
	l.server.relays.account(now)
	l.history.add(l.server.sample(now))
}

// carried returns what a running transfer has carried, and how fast it does.
func (l *ledger) carried(p *pinhole, d alg.Direction, now time.Time) (n uint64, rate float64) {
	if r := p.carrier.Load(); r != nil {
		all := r.account()
		if took := now.Sub(r.began).Seconds(); took > 0 {
			rate = float64(all[p.way(d)]) / took
		}
		return all[p.way(d)], rate
	}
	f := p.flow.Load()
	if f == nil {
		return 0, 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return f.last.Payload(p.way(d)) - min(f.last.Payload(p.way(d)), f.taken[p.way(d)]), f.rate
}

// ofSession returns the flows of a session that run.
func (l *ledger) ofSession(s *session) []*flow {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []*flow
	for _, f := range l.flows {
		if f.pinhole.session == s && !f.over {
			all = append(all, f)
		}
	}
	return slices.Clip(all)
}
