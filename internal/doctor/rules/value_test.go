package rules

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
)

func (a answer) String() string { return [...]string{"no", "maybe", "yes"}[a] }

func TestValueAnswers(t *testing.T) {
	ports := between([]byte{0xee, 0x48}, []byte{0xfd, 0xe7}) // 61000-64999
	net10 := Packet{From: netip.MustParsePrefix("10.0.0.0/24")}.network()
	tests := map[string]struct{ got, want answer }{
		"the same":                {exactly([]byte{1, 2}).equals([]byte{1, 2}), yes},
		"its beginning":           {exactly([]byte{1, 2}).equals([]byte{1}), yes},
		"another":                 {exactly([]byte{1, 2}).equals([]byte{1, 3}), no},
		"anything":                {anything(2).equals([]byte{1, 2}), maybe},
		"a port of a range":       {ports.equals([]byte{0xf0, 0}), maybe},
		"its last":                {ports.equals([]byte{0xfd, 0xe7}), maybe},
		"one beyond":              {ports.equals([]byte{0xfd, 0xe8}), no},
		"a range over it":         {ports.between([]byte{0xee, 0}, []byte{0xff, 0}), yes},
		"a range that cuts it":    {ports.between([]byte{0xf0, 0}, []byte{0xff, 0}), maybe},
		"a range below":           {ports.between([]byte{0, 1}, []byte{0xee, 0x47}), no},
		"an address of a network": {net10.slice(12, 4).equals([]byte{10, 0, 0, 5}), maybe},
		"of another":              {net10.slice(12, 4).equals([]byte{10, 0, 1, 5}), no},
		"its prefix":              {net10.slice(12, 3).equals([]byte{10, 0, 0}), yes},
		"both addresses at once":  {net10.slice(12, 8).equals([]byte{10, 0, 1, 5, 1, 2, 3, 4}), no},
		"a mask keeps a prefix":   {net10.slice(12, 4).masked([]byte{255, 255, 0, 0}, make([]byte, 4)).equals([]byte{10, 0, 0, 0}), yes},
		"a mask of low bits":      {net10.slice(12, 4).masked([]byte{0, 0, 0, 1}, make([]byte, 4)).equals([]byte{0, 0, 0, 1}), maybe},
		"less than all is known":  {anything(4).masked([]byte{0, 0, 0, 0}, []byte{0, 0, 0, 7}).equals([]byte{0, 0, 0, 7}), yes},
		"beyond the end":          {exactly([]byte{1}).slice(0, 2).equals([]byte{1, 0}), maybe},
	}
	for name, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %v, want %v", name, test.got, test.want)
		}
	}
}

// No answer is more certain than it may be: what is found by trying every number
// of a range is what the bounds say, or the bounds say maybe.
func TestValueIsNeverTooCertain(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	bytes := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	for range 3000 {
		lo := uint16(r.IntN(600))
		hi := lo + uint16(r.IntN(300))
		from := uint16(r.IntN(900))
		to := from + uint16(r.IntN(300))
		mask, xor := uint16(r.IntN(1<<16)), uint16(r.IntN(1<<16))
		if r.IntN(2) == 0 {
			mask, xor = ^uint16(0)<<r.IntN(12), 0
		}
		v := between(bytes(lo), bytes(hi))
		for what, q := range map[string]struct {
			asked answer
			each  func(n uint16) bool
		}{
			"equals":  {v.equals(bytes(from)), func(n uint16) bool { return n == from }},
			"between": {v.between(bytes(from), bytes(to)), func(n uint16) bool { return from <= n && n <= to }},
			"within":  {v.within(bytes(from), bytes(to)), func(n uint16) bool { return from <= n && n <= to }},
			"masked": {v.masked(bytes(mask), bytes(xor)).between(bytes(from), bytes(to)),
				func(n uint16) bool { return from <= n&mask^xor && n&mask^xor <= to }},
			"low byte": {v.slice(1, 1).equals(bytes(from)[1:]), func(n uint16) bool { return byte(n) == byte(from) }},
		} {
			some, all := false, true
			for n := int(lo); n <= int(hi); n++ {
				is := q.each(uint16(n))
				some, all = some || is, all && is
			}
			if q.asked == yes && !all || q.asked == no && some {
				t.Fatalf("%s: %v of %d-%d with %d-%d, mask %x xor %x, is too certain", what, q.asked, lo, hi, from, to, mask, xor)
			}
		}
	}
}

func TestPut(t *testing.T) {
	v := anything(8).put(2, exactly([]byte{1, 2, 3})).put(3, exactly([]byte{9}))
	if v.size() != 8 || v.slice(2, 3).equals([]byte{1, 9, 3}) != yes || !v.slice(5, 3).unknown() || v.slice(2, 3).unknown() {
		t.Error(fmt.Sprint(v))
	}
}
