package rules

import (
	"bytes"
	"slices"
)

// answer is what is known of a match.
type answer int

const (
	no answer = iota
	maybe
	yes
)

func (a answer) not() answer { return yes - a }

func decided(b bool) answer {
	if b {
		return yes
	}
	return no
}

// part is a run of bytes between two bounds, both included. It is exact when
// they are the same.
type part struct{ lo, hi []byte }

func (p part) exact() bool { return bytes.Equal(p.lo, p.hi) }

// value is what is known of a run of bytes: headers and registers are values.
// Each part is independent of the others.
type value []part

func exactly(b []byte) value { return value{{b, b}} }

func anything(n int) value {
	return value{{make([]byte, n), bytes.Repeat([]byte{0xff}, n)}}
}

func between(lo, hi []byte) value { return value{{lo, hi}} }

func (v value) size() int {
	n := 0
	for _, p := range v {
		n += len(p.lo)
	}
	return n
}

// lo and hi are the least and the greatest that the bytes can be.
func (v value) lo() []byte {
	b := make([]byte, 0, v.size())
	for _, p := range v {
		b = append(b, p.lo...)
	}
	return b
}

func (v value) hi() []byte {
	b := make([]byte, 0, v.size())
	for _, p := range v {
		b = append(b, p.hi...)
	}
	return b
}

func (v value) exact() bool { return !slices.ContainsFunc(v, func(p part) bool { return !p.exact() }) }

// unknown reports whether nothing is known of any byte.
func (v value) unknown() bool {
	for _, p := range v {
		if !bytes.Equal(p.lo, make([]byte, len(p.lo))) || !bytes.Equal(p.hi, bytes.Repeat([]byte{0xff}, len(p.hi))) {
			return false
		}
	}
	return true
}

// slice returns n bytes from offset on; what lies beyond the end may be anything.
func (v value) slice(offset, n int) value {
	var out value
	at := 0
	for _, p := range v {
		from, to := max(offset-at, 0), min(offset+n-at, len(p.lo))
		at += len(p.lo)
		if from < to {
			out = append(out, p.slice(from, to))
		}
	}
	if missing := n - out.size(); missing > 0 {
		out = append(out, anything(missing)...)
	}
	return out
}

// slice keeps the bounds of bytes whose more significant neighbours do not vary.
func (p part) slice(from, to int) part {
	if bytes.Equal(p.lo[:from], p.hi[:from]) {
		return part{p.lo[from:to], p.hi[from:to]}
	}
	return anything(to - from)[0]
}

// put returns the value with other bytes from offset on.
func (v value) put(offset int, other value) value {
	end := offset + other.size()
	out := slices.Concat(v.slice(0, offset), other)
	if rest := v.size() - end; rest > 0 {
		out = append(out, v.slice(end, rest)...)
	}
	return out
}

// equals asks for one value, of which b is the beginning.
func (v value) equals(b []byte) answer {
	return v.within(b, b)
}

// within asks whether each part lies between the same bytes of two bounds. For
// a value of one part, or bounds that are the same, that is all there is to ask.
func (v value) within(from, to []byte) answer {
	if v.size() != len(from) {
		v = v.slice(0, len(from))
	}
	result := yes
	at := 0
	for _, p := range v {
		f, t := from[at:at+len(p.lo)], to[at:at+len(p.lo)]
		at += len(p.lo)
		switch {
		case bytes.Compare(p.hi, f) < 0 || bytes.Compare(p.lo, t) > 0:
			return no
		case bytes.Compare(p.lo, f) < 0 || bytes.Compare(p.hi, t) > 0:
			result = maybe
		}
	}
	return result
}

// between asks whether the bytes, taken as one number, lie between two bounds.
func (v value) between(from, to []byte) answer {
	v = v.slice(0, len(from))
	lo, hi := v.lo(), v.hi()
	switch {
	case bytes.Compare(hi, from) < 0 || bytes.Compare(lo, to) > 0:
		return no
	case bytes.Compare(lo, from) >= 0 && bytes.Compare(hi, to) <= 0:
		return yes
	}
	return maybe
}

// masked is (v & mask) ^ xor. Bounds survive a mask that keeps the leading bits.
func (v value) masked(mask, xor []byte) value {
	var out value
	at := 0
	for _, p := range v.slice(0, len(mask)) {
		m, x := mask[at:at+len(p.lo)], xor[at:at+len(p.lo)]
		at += len(p.lo)
		if p.exact() || bytes.Equal(x, make([]byte, len(x))) && leading(m) {
			out = append(out, part{maskedBytes(p.lo, m, x), maskedBytes(p.hi, m, x)})
			continue
		}
		for i := range m { // byte by byte, for what the mask takes away
			switch m[i] {
			case 0:
				out = append(out, part{x[i : i+1], x[i : i+1]})
			default:
				out = append(out, anything(1)...)
			}
		}
	}
	return out
}

func maskedBytes(b, mask, xor []byte) []byte {
	out := make([]byte, len(b))
	for i := range b {
		out[i] = b[i]&mask[i] ^ xor[i]
	}
	return out
}

// leading reports whether a mask is that of a prefix.
func leading(mask []byte) bool {
	ended := false
	for _, b := range mask {
		for bit := 7; bit >= 0; bit-- {
			set := b>>bit&1 == 1
			if set && ended {
				return false
			}
			ended = ended || !set
		}
	}
	return true
}
