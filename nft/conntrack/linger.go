package conntrack

import "time"

// maxLingering bounds the finished flows that are kept. Beyond it the oldest go
// early: a full conntrack table would be worse than a port used again.
const maxLingering = 1 << 15

// lingering are finished flows whose event was delivered and whose entry stays
// for a while, in the order in which they go.
type lingering struct {
	queue []lingerer
	ids   map[uint32]bool
}

type lingerer struct {
	orig  Tuple
	id    uint32
	until time.Time
}

func newLingering() lingering { return lingering{ids: map[uint32]bool{}} }

func (l *lingering) add(f Flow, until time.Time) {
	l.queue = append(l.queue, lingerer{f.Orig, f.ID, until})
	l.ids[f.ID] = true
}

func (l *lingering) has(id uint32) bool { return l.ids[id] }

// forget reports whether the flow was lingering. The queue keeps it: to delete
// what is gone does no harm.
func (l *lingering) forget(id uint32) bool {
	was := l.ids[id]
	delete(l.ids, id)
	return was
}

// keep forgets all but the flows that are still there.
func (l *lingering) keep(flows []Flow) {
	there := make(map[uint32]bool, len(flows))
	for _, f := range flows {
		there[f.ID] = true
	}
	for id := range l.ids {
		if !there[id] {
			delete(l.ids, id)
		}
	}
}

// due is when the next flow goes; zero: none is waiting.
func (l *lingering) due() time.Time {
	if len(l.queue) == 0 {
		return time.Time{}
	}
	return l.queue[0].until
}

// over takes from the queue what has waited long enough.
func (l *lingering) over(now time.Time) []lingerer {
	n := max(0, len(l.queue)-maxLingering)
	for n < len(l.queue) && !l.queue[n].until.After(now) {
		n++
	}
	gone := l.queue[:n]
	l.queue = l.queue[n:]
	return gone
}
