package proxy

import (
	"errors"
	"io"
	"time"

	"ftpgate/alg"
)

// readClient carries the client's lines until its side ends.
func (s *session) readClient() {
	defer s.readerEnded()
	defer s.recovered()
	lines := alg.NewLines(alg.MaxCommand)
	for {
		if !s.clientSecured() {
			s.discard()
			return
		}
		n, err := s.clientConn.Read(lines.Space())
		lines.Filled(n)
		if n > 0 && !s.clientBytes(&lines, n) {
			s.discard()
			return
		}
		if err != nil {
			s.clientEnded(err)
			return
		}
	}
}

// clientBytes judges all lines that have arrived, the last n bytes just now.
// It reports false when the session is over.
func (s *session) clientBytes(lines *alg.Lines, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == over {
		return false
	}
	if s.through != nil && !s.through.client.over && !s.clientThrough(lines, n) {
		return s.phase != over
	}
	for line := lines.Next(); line != nil; line = lines.Next() {
		v := s.machine.Client(line)
		for v.Wait && s.phase != over && s.phase != opaque {
			s.turn.Wait()
			v = s.machine.Client(line)
		}
		if s.phase == over {
			return false
		}
		if s.phase == opaque {
			s.injected() // the line stood behind AUTH, in clear
			return false
		}
		s.hear(fromClient, line)
		s.carryOut(v)
		if v.Secure != 0 && len(lines.Pending()) > 0 {
			s.injected()
		}
	}
	if s.machine.Foreign(lines.Pending()) {
		line := lines.Rest()
		s.hear(fromClient, line)
		s.carryOut(s.machine.Client(line))
	}
	return s.phase != over
}

// discard reads what the client still sends, so that closing does not reset
// the connection under the last word to it.
func (s *session) discard() { _, _ = io.Copy(io.Discard, s.clientConn) }

// readServer carries the server's lines until its side ends.
func (s *session) readServer() {
	defer s.readerEnded()
	defer s.recovered()
	lines := alg.NewLines(alg.MaxReply)
	for {
		n, err := s.serverConn.Read(lines.Space())
		lines.Filled(n)
		if n > 0 && !s.serverBytes(&lines) {
			return
		}
		if err != nil {
			s.serverEnded(&lines, err)
			return
		}
	}
}

func (s *session) serverBytes(lines *alg.Lines) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.through != nil && !s.through.server.over && !s.serverThrough(lines) {
		return s.phase != over
	}
	for line := lines.Next(); line != nil && s.phase != over; {
		if s.awaitData(line); s.phase == over {
			break
		}
		v := s.machine.Server(line)
		s.hear(fromServer, line)
		line = lines.Next()
		s.more = line != nil && v.Secure == 0
		s.carryOut(v)
		if v.Secure == alg.GoThrough && (line != nil || len(lines.Pending()) > 0) {
			s.injected()
		}
		if v.Restart {
			s.restartServer()
		}
	}
	s.more = false
	if len(s.held) > 0 {
		s.writeClient(nil)
	}
	s.turn.Broadcast()
	return s.phase != over
}

// carryOut does what a verdict says: open, close, write, end. The caller holds mu.
func (s *session) carryOut(v alg.Verdict) {
	s.lastLine = time.Now()
	judged := v
	var lost alg.Verb // a set-up that has got no pinhole
	for v.Open.ID != 0 {
		s.note(v)
		v, lost = s.openPinhole(v.Open)
	}
	for _, c := range v.Close {
		s.closeByID(c)
		if c.Why == alg.Aborted {
			s.cutData(c.ID, true)
		}
	}
	if v.Transfer.Phase == alg.TransferFailed {
		s.cutData(v.Transfer.Pinhole, false)
	}
	if s.user != nil && v.End == alg.NoReason { // the server's greeting: the client has had ours
		v.ToClient = nil
	}
	s.record(&judged, &v)
	if lost != alg.None {
		s.failSetUp(lost, v.Refusal, v)
	}
	s.note(v)
	if len(v.ToServer) > 0 {
		s.writeServer(v.ToServer)
	}
	if len(v.ToClient) > 0 {
		s.writeClient(v.ToClient)
	}
	switch {
	case v.End != alg.NoReason:
		s.end(violated, errors.New(v.End.String()), "")
	case s.phase == over:
	default:
		s.secure(v.Secure)
		s.follow()
	}
}

// writeServer sends to the server. If it cannot be reached any more, the reader
// of its side ends the session: the server may have said why before it went,
// and the client is to get that.
func (s *session) writeServer(b []byte) {
	if _, err := s.serverConn.Write(b); err != nil && s.phase != over {
		s.cause = err
	}
}

// maxHeld is how much may wait for a client that has a handshake to make.
const maxHeld = 64 << 10

var errTooMuchHeld = errors.New("the server said too much before the client's TLS handshake")

// writeClient sends to the client, lines that came together in one write. In
// the middle of a handshake a write would wait for the client, so it waits
// here. A client that cannot be reached any more ends the session.
func (s *session) writeClient(b []byte) {
	if shaking := !s.clientConn.speakable(); s.more || shaking || len(s.held) > 0 {
		s.held = append(s.held, b...)
		if shaking && len(s.held) > maxHeld {
			s.end(violated, errTooMuchHeld, "")
		}
		if s.more || shaking {
			return
		}
		b, s.held = s.held, nil
	}
	_, err := s.clientConn.Write(b)
	switch {
	case err == nil:
	case s.phase == clientGone:
		s.end(s.left(), nil, "")
	default:
		s.end(broken, err, "")
	}
}

// follow keeps the phase in step with the machine.
func (s *session) follow() {
	switch {
	case s.phase == greeting && s.machine.Greeted():
		s.setPhase(login)
		if user := s.user; user != nil {
			s.user = nil
			s.carryOut(s.machine.Client(user))
		}
	case s.phase == login && s.machine.LoggedIn():
		s.setPhase(open)
	case s.phase == open && !s.machine.LoggedIn():
		s.setPhase(login)
	case s.phase == clientGone && !s.machine.Transferring():
		s.timer.Reset(closing)
	}
	switch {
	case s.killed.Load():
		s.end(killed, nil, killedWord)
	case !s.endBy.IsZero() && !s.machine.Transferring():
		s.end(drained, nil, goingDown)
	}
}

// clientEnded follows the end of the client's side: a clean one goes on to the
// server, whose replies still have a reader; any other is the session's end.
func (s *session) clientEnded(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase == over:
	case errors.Is(err, io.EOF):
		s.setPhase(clientGone)
		_ = s.serverConn.CloseWrite()
	default:
		s.end(broken, err, "")
	}
}

// serverEnded follows the end of the server's side. What it said last, with or
// without a line end, reaches the client.
func (s *session) serverEnded(lines *alg.Lines, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == over {
		return
	}
	word := "421 The server has closed the connection\r\n"
	if rest := lines.Rest(); len(rest) > 0 {
		s.hear(fromServer, rest)
		s.carryOut(s.machine.Server(rest))
		word = "\r\n" + word // not in the same line
	}
	if !errors.Is(err, io.EOF) {
		s.cause = err
	}
	how := s.left()
	if s.cause != nil && s.phase != clientGone {
		how = broken
	}
	if how == quit || s.phase == clientGone || s.lastCode == 421 || s.lastCode == 221 {
		word = "" // the last word was the server's
	}
	s.end(how, s.cause, word)
}

// left is the outcome of a session that a peer ended in order.
func (s *session) left() outcome {
	switch {
	case s.saidQuit:
		return quit
	case s.phase == clientGone:
		return clientClosed
	}
	return serverClosed
}
