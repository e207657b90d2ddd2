package nft

import (
	"net/netip"
	"time"

	"github.com/google/nftables"
)

const (
	// watchAfter is how long SYNs to what a pinhole was dialled at are noted
	// after it was opened or renewed and has expired, at least.
	watchAfter = 3 * time.Minute

	// leaseLife is how much longer than a pinhole its element in leased4 lives.
	// What it has beyond watchAfter spares the next pinholes there a write.
	leaseLife = 10 * time.Minute

	// maxLeased bounds the elements of leased4 and leased6 together, to half of
	// what each has room for: no pinhole is refused because one of them is full.
	// Beyond it SYNs to what is leased newly are not noted.
	maxLeased = mapSize / 2
)

// leases is what stands in leased4 and leased6, and until when. Guarded by
// Table.mu.
type leases struct {
	until map[netip.AddrPort]time.Time
	sweep int       // size at which to look for expired ones
	calm  time.Time // not before then
}

func newLeases() leases {
	return leases{until: map[netip.AddrPort]time.Time{}, sweep: 1024}
}

// due reports whether a pinhole needs an element to be written, and whether that
// takes the place of one.
func (l *leases) due(p Pinhole, now time.Time) (due, there bool) {
	until, there := l.until[p.At]
	if !there {
		return len(l.until) < maxLeased, false
	}
	return until.Sub(now) < p.Timeout+watchAfter, true
}

// add notes what was written because it was due.
func (l *leases) add(p Pinhole, now time.Time) {
	if due, _ := l.due(p, now); due {
		l.until[p.At] = now.Add(p.Timeout + leaseLife)
	}
	l.forget(now)
}

// forget throws out what has expired, now and then: each one is looked at a
// bounded number of times, and all of them every few seconds at most.
func (l *leases) forget(now time.Time) {
	if len(l.until) < l.sweep || now.Before(l.calm) {
		return
	}
	for at, until := range l.until {
		if now.After(until.Add(slack)) {
			delete(l.until, at)
		}
	}
	l.sweep = min(max(1024, 2*len(l.until)), maxLeased)
	l.calm = now.Add(10 * time.Second)
}

// enqueueLeased adds to the next batch what has the kernel note SYNs that miss
// the pinhole, unless it does for long enough.
func (t *Table) enqueueLeased(p Pinhole, now time.Time) error {
	due, there := t.book.leases.due(p, now)
	if !due {
		return nil
	}
	s, e := t.rules.halves[half(p.From)].leased, p.leasedElement()
	if there { // to add it again would not refresh it
		if err := t.remove(s, e); err != nil {
			return err
		}
	}
	return t.conn.SetAddElements(s, e)
}

func (p Pinhole) leasedElement() []nftables.SetElement {
	return []nftables.SetElement{{Key: appendAddrPort(nil, p.At), Timeout: p.Timeout + leaseLife}}
}
