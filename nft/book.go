package nft

import (
	"net/netip"
	"time"

	"github.com/google/nftables"
)

// maxOut bounds the permanent elements of out4 and out6. Targets beyond it get
// an element of their own per pinhole, which goes away by itself.
const maxOut = 1024

// A record is a pinhole that may be in the kernel. Only the kernel knows whether
// it still is: records serve to close, to renew and to restore.
type record struct {
	Pinhole
	source   sourceKind
	deadline time.Time // by our clock; the kernel's own is not later than slack
	used     bool      // known to be consumed; its source element is still there
}

// slack is how much longer than its timeout a record is kept.
const slack = 2 * time.Second

// sourceKind says where a pinhole's source address stands.
type sourceKind int

const (
	sourceOut    sourceKind = iota // in the permanent element of its target
	sourceActive                   // in its own element, with the port
	sourceVia                      // in its own element, without a port
)

// book is what we have in the kernel, as far as we know. Guarded by Table.mu.
type book struct {
	open   map[key]record
	passes map[passKey]pass
	out    map[netip.Addr]netip.Addr // permanent elements: target -> source; the zero Addr: has none, the source stays
	spent  []key                     // used ones, whose source elements go with a later batch
	sweep  int                       // size of open at which to look for expired records
	moved  time.Time                 // when a target was last found with another source
	leases leases
}

func newBook() book {
	return book{open: map[key]record{}, passes: map[passKey]pass{}, out: map[netip.Addr]netip.Addr{}, sweep: 1024, leases: newLeases()}
}

// place decides where the source of a pinhole goes; fresh means that the
// permanent element of its target must be written too, in place of another if
// there is one.
func (b *book) place(p Pinhole, now time.Time) (kind sourceKind, fresh bool) {
	switch {
	case p.Source.Port() != 0:
		return sourceActive, false
	case p.At == p.To && p.Flows == 0: // not translated: out4 is not asked
		return sourceVia, false
	case !p.Source.IsValid() && p.To.Addr() != p.At.Addr() && p.Flows == 0: // to another host: a masquerade must not change it
		return sourceVia, false
	}
	source, known := b.out[p.To.Addr()]
	switch {
	case known && source == p.Source.Addr(): // both the zero Addr too
		return sourceOut, false
	case known && b.needed(p.To.Addr(), now), !known && len(b.out) >= maxOut:
		return sourceVia, false
	}
	return sourceOut, true
}

// needed reports whether an open pinhole relies on the permanent element of a
// target, so that it cannot follow a changed inside address yet. To find out
// takes a look at every record: between two looks the answer is yes.
func (b *book) needed(target netip.Addr, now time.Time) bool {
	if now.Sub(b.moved) < time.Second {
		return true
	}
	b.moved = now
	for _, r := range b.open {
		if r.source == sourceOut && r.To.Addr() == target && now.Before(r.deadline) {
			return true
		}
	}
	for _, o := range b.passes {
		if o.source == sourceOut && o.To.Addr() == target && now.Before(o.deadline.Add(slack)) {
			return true
		}
	}
	return false
}

// add notes a pinhole that the kernel has taken. Now and then it throws out
// what has expired: each record is looked at a bounded number of times.
func (b *book) add(p Pinhole, kind sourceKind, fresh bool, now time.Time) {
	if fresh {
		b.out[p.To.Addr()] = p.Source.Addr()
	}
	b.open[p.key()] = record{Pinhole: p, source: kind, deadline: now.Add(p.Timeout + slack)}
	b.leases.add(p, now)
	if len(b.open) < b.sweep {
		return
	}
	for k, r := range b.open {
		if now.After(r.deadline) {
			delete(b.open, k)
		}
	}
	b.sweep = max(1024, 2*len(b.open))
}

// find returns the record of exactly this pinhole.
func (b *book) find(p Pinhole) (record, bool) {
	r, ok := b.open[p.key()]
	return r, ok && r.To == p.To && r.Source == p.Source
}

// use notes that a pinhole was consumed.
func (b *book) use(p Pinhole) {
	r, ok := b.find(p)
	switch {
	case !ok || r.used:
	case r.source == sourceOut:
		delete(b.open, p.key())
	default:
		r.used = true
		b.open[p.key()] = r
		b.spent = append(b.spent, p.key())
	}
}

// takeSpent returns a few used records whose source elements can be removed.
func (b *book) takeSpent(now time.Time) []record {
	const few = 8
	var taken []record
	for len(b.spent) > 0 && len(taken) < few {
		r, ok := b.open[b.spent[0]]
		b.spent = b.spent[1:]
		switch {
		case !ok || !r.used: // opened again or closed
		case now.After(r.deadline):
			delete(b.open, r.key())
		default:
			taken = append(taken, r)
		}
	}
	return taken
}

// eachOut calls write for the permanent elements of each family.
func (b *book) eachOut(r *ruleset, write func(*nftables.Set, []nftables.SetElement) error) error {
	var halves [2][]nftables.SetElement
	for target, source := range b.out {
		i := half(target)
		halves[i] = append(halves[i], outElements(target, source)...)
	}
	for i := range halves {
		if err := write(r.halves[i].out, halves[i]); err != nil {
			return err
		}
	}
	return nil
}

// outElements is the permanent element of a target, or none if the source stays.
func outElements(target, source netip.Addr) []nftables.SetElement {
	if !source.IsValid() {
		return nil
	}
	return []nftables.SetElement{{Key: target.AsSlice(), Val: source.AsSlice()}}
}
