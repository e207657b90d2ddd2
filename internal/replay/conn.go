package replay

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// segment is what a packet has of a control connection.
type segment struct {
	at       int
	when     time.Time
	src, dst netip.AddrPort
	from     side

	seq, ack      uint32
	hasAck        bool
	syn, fin, rst bool
	data          []byte
	long          int // of the payload, of which data may be only the beginning
}

// end is the sequence number behind a segment.
func (s *segment) end() uint32 {
	e := s.seq + uint32(s.long)
	if s.syn {
		e++
	}
	if s.fin {
		e++
	}
	return e
}

// conn puts the segments of a control connection in order: each side's by its
// sequence numbers, and between the sides by what had been received when a
// segment was sent, which its acknowledgement says. So a capture that has
// packets in another order than they went, or twice, or not all of them, still
// gives the dialogue as it was, and says where it is not whole.
type conn struct {
	kept     *keeper
	dialogue dialogue
	way      [2]way
	waiting  []segment // in the order of the capture
	over     bool      // reset, or the rest is TLS
	headless bool      // the beginning is not in the capture
}

// way is what has been handed out of one side's bytes.
type way struct {
	known  bool
	first  uint32 // of its SYN
	next   uint32
	acked  uint32 // the furthest that the other side has acknowledged
	within bool   // the last byte handed out was no line end
	tls    int    // bytes that cannot be read
}

// How much may wait for what is missing before that is given up.
const (
	maxWaiting      = 64
	maxWaitingBytes = 256 << 10
)

// another reports whether a SYN begins another connection between the same ends.
func (c *conn) another(s segment) bool {
	w := &c.way[s.from]
	return w.known && s.seq != w.first
}

// empty reports whether nothing was said.
func (c *conn) empty() bool { return len(c.dialogue.parts) == 0 && len(c.waiting) == 0 }

// take takes the next segment of the capture. It reports false when no more can
// be kept.
func (c *conn) take(s segment) bool {
	w, other := &c.way[s.from], &c.way[s.from.other()]
	if s.syn {
		if !w.known {
			w.known, w.first, w.next, w.acked = true, s.seq, s.seq+1, s.seq+1
		}
		s.seq, s.syn = s.seq+1, false
	}
	if !w.known && (s.long > 0 || s.hasAck) {
		w.known, w.first, w.next, w.acked = true, s.seq-1, s.seq, s.seq
		c.headless = c.headless || s.long > 0
	}
	if s.hasAck {
		if !other.known {
			other.known, other.first, other.next, other.acked = true, s.ack-1, s.ack, s.ack
		}
		if ahead(s.ack, other.acked) {
			other.acked = s.ack
		}
	}
	if c.over {
		w.tls += s.long
		return true
	}
	if s.rst {
		c.deliver()
		c.give()
		if len(c.dialogue.parts) > 0 {
			c.note(s.at, fmt.Sprintf("the %s resets the connection", s.from))
		}
		c.over = true
		return true
	}
	if s.long == 0 && !s.fin || !ahead(s.end(), w.next) {
		return true // it says nothing new
	}
	if !c.kept.fits(len(s.data)) {
		return false
	}
	s.data = bytes.Clone(s.data)
	c.waiting = append(c.waiting, s)
	c.deliver()
	return true
}

// deliver hands out what has its turn, and, when too much waits, what has not.
func (c *conn) deliver() {
	for !c.over {
		i := slices.IndexFunc(c.waiting, func(s segment) bool { return c.due(s) })
		switch {
		case i >= 0:
			s := c.waiting[i]
			c.waiting = slices.Delete(c.waiting, i, i+1)
			c.hand(s)
		case c.tooMuch():
			c.skip()
		default:
			return
		}
	}
}

// due reports whether a segment has its turn: its side has said all before it,
// and so has the other one that it acknowledges.
func (c *conn) due(s segment) bool {
	w, other := &c.way[s.from], &c.way[s.from.other()]
	return !ahead(s.seq, w.next) && (!s.hasAck || !ahead(s.ack, other.next))
}

func (c *conn) tooMuch() bool {
	n := 0
	for _, s := range c.waiting {
		n += len(s.data)
	}
	return len(c.waiting) > maxWaiting || n > maxWaitingBytes
}

// hand adds what is new of a segment to the dialogue.
func (c *conn) hand(s segment) {
	w := &c.way[s.from]
	if !ahead(s.end(), w.next) {
		return
	}
	old := int(w.next - s.seq)
	lost := s.long - max(len(s.data), old) // the capture has only the beginning of the packet
	w.next = s.end()
	if old < len(s.data) {
		c.say(s.at, s.from, s.data[old:])
	}
	if lost > 0 && !c.over {
		c.missing(s.at, s.from, lost)
	}
}

// say adds bytes, unless they are TLS: a record can begin only where a line can.
func (c *conn) say(at int, from side, data []byte) {
	w := &c.way[from]
	if !w.within && len(data) > 1 && data[0] >= 20 && data[0] <= 23 && data[1] == 3 { // RFC 8446 §5.1
		w.tls += len(data)
		c.over = true
		for _, s := range c.waiting {
			c.way[s.from].tls += s.long
		}
		c.waiting = nil
		c.note(at, "TLS begins here: what client and server say from now on cannot be read")
		return
	}
	w.within = data[len(data)-1] != '\n'
	if c.headless && len(c.dialogue.parts) == 0 {
		c.note(at, "the capture does not have the beginning of this connection")
	}
	c.dialogue.parts = append(c.dialogue.parts, part{at: at, from: from, bytes: data})
}

func (c *conn) note(at int, text string) {
	c.dialogue.parts = append(c.dialogue.parts, part{at: at, note: text})
}

// missing says that the capture lacks so many bytes of a side.
func (c *conn) missing(at int, from side, n int) {
	c.way[from].within = false
	c.dialogue.parts = append(c.dialogue.parts, part{at: at, from: from, missing: n})
}

// skip gives up what a segment waits for: bytes of its own side, or of the other
// one, that are not in the capture. Of a segment that only waits for the other
// side that is known first.
func (c *conn) skip() {
	i := slices.IndexFunc(c.waiting, func(s segment) bool { return !ahead(s.seq, c.way[s.from].next) })
	if i < 0 {
		c.skipTo(c.waiting[0].at, c.waiting[0].from, c.waiting[0].seq)
		return
	}
	s := &c.waiting[i]
	if !c.skipTo(s.at, s.from.other(), s.ack) {
		s.hasAck = false // both wait for each other, which no real connection does
	}
}

// skipTo goes on with a side at a sequence number, or at what is there before it.
// It reports false where that is no step forward.
func (c *conn) skipTo(at int, from side, to uint32) bool {
	w := &c.way[from]
	for _, s := range c.waiting {
		if s.from == from && ahead(to, s.seq) && ahead(s.end(), w.next) {
			to = s.seq
		}
	}
	if !ahead(to, w.next) {
		return false
	}
	c.missing(at, from, int(to-w.next))
	w.next = to
	return true
}

// give gives up all that is missing.
func (c *conn) give() {
	for len(c.waiting) > 0 && !c.over {
		c.skip()
		c.deliver()
	}
}

// flush ends the connection: nothing comes any more.
func (c *conn) flush() {
	c.give()
	for _, from := range []side{client, server} {
		w := &c.way[from]
		if n := int(w.acked - w.next); !c.over && w.known && ahead(w.acked, w.next) && n > 1 { // 1: a FIN
			c.missing(0, from, n)
			w.next = w.acked
		}
	}
	if n, m := c.way[client].tls, c.way[server].tls; n+m > 0 && len(c.dialogue.parts) > 0 {
		c.note(0, fmt.Sprintf("%s of the client and %d of the server were not read", number(n, "byte"), m))
		c.way[client].tls, c.way[server].tls = 0, 0
	}
}

// ahead reports whether sequence number a is behind b in the stream (RFC 9293 §3.4).
func ahead(a, b uint32) bool { return int32(a-b) > 0 }
