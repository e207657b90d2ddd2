package proxy

import (
	"errors"
	"time"

	"ftpgate/alg"
	"ftpgate/nft/conntrack"
)

// through is TLS between client and server that passes this gateway unseen,
// from the server's answer to AUTH on. It ends by CCC, if the server allows
// that, in each direction by itself.
type through struct {
	client, server way
	begun          bool // the client's TLS has
}

// way is one direction of it.
type way struct {
	records alg.Records
	over    bool // what comes is clear again
}

func (s *session) goThrough() {
	s.through = &through{}
	s.setPhase(opaque)
}

// sealedTo reports whether what is written to the client now would fall into
// TLS that is not ours.
func (t *through) sealedTo() bool { return t != nil && !t.server.over }

// clientThrough passes on what the client sent, n bytes of it just now. It
// reports true when lines have something in clear again.
func (s *session) clientThrough(lines *alg.Lines, n int) bool {
	if t := s.through; !t.begun {
		t.begun = true
		if len(lines.Pending()) > n { // it came in clear behind AUTH
			s.injected()
			return false
		}
	}
	return s.pass(lines, &s.through.client, s.writeServer)
}

// serverThrough is clientThrough for what the server sent.
func (s *session) serverThrough(lines *alg.Lines) bool {
	return s.pass(lines, &s.through.server, s.writeClient)
}

var errNotTLS = errors.New("what follows AUTH is no TLS")

// pass writes the TLS in lines and leaves in them what is none.
func (s *session) pass(lines *alg.Lines, w *way, write func([]byte)) bool {
	b := lines.Rest()
	sealed := w.records.Pass(b)
	if sealed > 0 {
		s.lastLine = time.Now()
		write(b[:sealed])
	}
	switch {
	case s.phase == over, sealed == len(b):
		return false
	case w.records.Broken():
		s.end(violated, errNotTLS, "")
		return false
	}
	clear := append([]byte(nil), b[sealed:]...)
	for len(clear) > 0 {
		n := copy(lines.Space(), clear)
		lines.Filled(n)
		clear = clear[n:]
	}
	s.resume(w)
	return true
}

// resume goes back to inspection, in the direction that is clear again.
func (s *session) resume(w *way) {
	w.over = true
	t := s.through
	if t.client.over && t.server.over {
		s.through = nil
	}
	if s.phase == opaque { // the first of the two
		s.setPhase(open)
		s.awaited = nil // nobody here has seen what became of them
		s.carryOut(s.machine.Resumed())
	}
}

// dataFlows reports whether the kernel carries data for the client of TLS that
// passes. Nothing else can tell: the idle clock asks before it ends a session.
func (s *session) dataFlows() bool {
	flows, err := s.gateway.Flows.Dump(s.gateway.Mark, s.gateway.Mark)
	if err != nil {
		s.gateway.Logger.Warn("conntrack could not be asked for data connections", "sid", s.id, "error", err)
	}
	for _, f := range flows {
		if f.State == conntrack.Established && f.Status&conntrack.DNAT != 0 &&
			f.Orig.Src.Addr() == s.client.Addr() && f.Orig.Dst.Addr() == s.outside.Addr() && f.Reply.Src.Addr() == s.server.Addr() {
			return true
		}
	}
	return false
}
