package rules

import (
	"bytes"
	"slices"

	"golang.org/x/sys/unix"
)

// set is what a set or a map holds.
type set struct {
	elements []element
	catchAll *element // for what is in no other
}

// element is a key, or all from one key to another, and what a map has for it.
type element struct {
	from, to []byte
	data     []byte
	branch   *branch // of verdict maps
	object   string  // of maps to objects
}

const catchAll = 2 // NFT_SET_ELEM_CATCHALL, not in x/sys

// load returns nil for a set that cannot be read in time.
func (r *Ruleset) load(c *Chain, name string) *set {
	r.mu.Lock()
	defer r.mu.Unlock()
	at := place{c.family, c.Table, name}
	if s, known := r.sets[at]; known {
		return s
	}
	var s *set
	if all, err := readSet(c.family, c.Table, name); err == nil {
		s = newSet(all, r.flags[at])
	}
	r.sets[at] = s
	return s
}

func newSet(all []attributes, flags uint32) *set {
	s := &set{}
	type bound struct {
		element
		ends bool
	}
	var bounds []bound
	for _, a := range all {
		e := newElement(a)
		kind := a.number(unix.NFTA_SET_ELEM_FLAGS)
		switch {
		case kind&catchAll != 0:
			s.catchAll = &e
		case flags&unix.NFT_SET_INTERVAL != 0 && e.to == nil: // bounds, each an element of its own
			bounds = append(bounds, bound{e, kind&unix.NFT_SET_ELEM_INTERVAL_END != 0})
		default:
			if e.to == nil {
				e.to = e.from
			}
			s.elements = append(s.elements, e)
		}
	}
	slices.SortStableFunc(bounds, func(a, b bound) int { return bytes.Compare(a.from, b.from) })
	for i, b := range bounds {
		if b.ends {
			continue
		}
		e := b.element
		e.to = bytes.Repeat([]byte{0xff}, len(e.from))
		if i+1 < len(bounds) {
			e.to = before(bounds[i+1].from)
		}
		s.elements = append(s.elements, e)
	}
	return s
}

func newElement(a attributes) element {
	data := a.nested(unix.NFTA_SET_ELEM_DATA)
	e := element{
		from: a.nested(unix.NFTA_SET_ELEM_KEY)[unix.NFTA_DATA_VALUE],
		data: data[unix.NFTA_DATA_VALUE], object: a.text(unix.NFTA_SET_ELEM_OBJREF),
	}
	const keyEnd = 10 // NFTA_SET_ELEM_KEY_END, not in x/sys
	if a.has(keyEnd) {
		e.to = a.nested(keyEnd)[unix.NFTA_DATA_VALUE]
	}
	if data.has(unix.NFTA_DATA_VERDICT) {
		b := newBranch(data.nested(unix.NFTA_DATA_VERDICT))
		e.branch = &b
	}
	return e
}

// before is the number that comes before b, which is not zero.
func before(b []byte) []byte {
	b = bytes.Clone(b)
	for i := len(b) - 1; i >= 0; i-- {
		b[i]--
		if b[i] != 0xff {
			break
		}
	}
	return b
}

// find returns the elements that a key has, or may have, and whether it has any.
func (s *set) find(key value) (found []element, has answer) {
	if len(s.elements) > 0 {
		key = key.slice(0, len(s.elements[0].from)) // all are of one length
	}
	for _, e := range s.elements {
		switch key.within(e.from, e.to) {
		case yes:
			return []element{e}, yes
		case maybe:
			found, has = append(found, e), maybe
		}
	}
	if s.catchAll != nil {
		if has == no {
			return []element{*s.catchAll}, yes
		}
		found = append(found, *s.catchAll)
	}
	return found, has
}
