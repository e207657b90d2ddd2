package proxy

import (
	"errors"
	"slices"
	"time"

	"ftpgate/alg"
)

// A session has one timer. It is set for the earliest deadline there can be
// and looks, when it fires, how far away that is by now: lines cost it nothing.

// checkTime ends the session if its time is over, else comes back.
func (s *session) checkTime() {
	defer s.recovered()
	if !s.mu.TryLock() {
		s.checkStuck()
		return
	}
	defer s.mu.Unlock()
	s.stuck.Store(0)
	if s.phase == over {
		return
	}
	left, what := s.timeLeft(time.Now())
	if left > 0 {
		s.timer.Reset(left)
		return
	}
	if s.phase == opaque && errors.Is(what, errIdle) && s.dataFlows() {
		s.timer.Reset(s.service.Timeouts.Idle)
		return
	}
	s.end(timedOut, what, timeoutWord(what))
}

// maxStuck is how often, twice a second, a session whose time is over may be
// found in the middle of a verdict.
const maxStuck = 5

// checkStuck comes back soon. A session that is always in the middle of a
// verdict has a peer that does not read, or hardly, what is written to it.
func (s *session) checkStuck() {
	if s.stuck.Add(1) > maxStuck {
		s.unstick()
	}
	time.AfterFunc(time.Second/2, s.checkTime)
}

// unstick breaks off a write that a peer holds up, and with it the session.
func (s *session) unstick() {
	past := time.Unix(1, 0)
	_ = s.clientConn.SetWriteDeadline(past)
	if server := s.dialled.Load(); server != nil {
		_ = server.SetDeadline(past) // after REIN an answer is waited for too
	}
}

var (
	errGreeting = errors.New("no greeting from the server (timeouts.greeting)")
	errLogin    = errors.New("no login (timeouts.login)")
	errIdle     = errors.New("idle (timeouts.idle)")
	errNoData   = errors.New("no data connection for a transfer (timeouts.transfer_start)")
	errGone     = errors.New("the client has gone and the server goes on")
	errDrain    = errors.New("still transferring at the end of timeouts.drain")
)

func timeoutWord(what error) string {
	switch {
	case errors.Is(what, errGreeting):
		return "421 The FTP server behind this gateway does not answer: try again later\r\n"
	case errors.Is(what, errLogin):
		return "421 No login in time: closing the control connection\r\n"
	case errors.Is(what, errIdle):
		return "421 Idle for too long: closing the control connection\r\n"
	case errors.Is(what, errNoData):
		return "421 No data connection in time: closing the control connection\r\n"
	case errors.Is(what, errDrain):
		return goingDown
	}
	return ""
}

const goingDown = "421 The gateway is going down: closing the control connection\r\n"

// timeLeft returns how long the session may go on as it is, and what its end
// would be for. The idle clock stands still while a transfer runs (RFC 1123
// §4.1.3.2).
func (s *session) timeLeft(now time.Time) (time.Duration, error) {
	t := &s.service.Timeouts
	busy := s.machine.Transferring()
	if !s.endBy.IsZero() {
		return s.endBy.Sub(now), errDrain
	}
	switch s.phase {
	case greeting:
		return s.since.Add(t.Greeting).Sub(now), errGreeting
	case login:
		return s.since.Add(t.Login).Sub(now), errLogin
	case clientGone:
		if !busy {
			return max(s.since.Add(closing).Sub(now), s.lastLine.Add(closing).Sub(now)), errGone
		}
	case open, opaque:
		if !busy {
			return s.lastLine.Add(t.Idle).Sub(now), errIdle
		}
	}
	if left := s.transfer.Add(t.TransferStart).Sub(now); !s.carried() { // the transfer has not begun
		return min(left, t.Idle), errNoData
	}
	return t.Idle, errIdle // look again: when it ends, nobody sets the clock
}

// carried reports whether a data connection has come for one of the data
// commands that wait for their final reply.
func (s *session) carried() bool {
	return s.dataCame || slices.ContainsFunc(s.pinholes, func(p *pinhole) bool { return p.connected.Load() })
}

// drain ends a session that does nothing, and lets a running transfer end.
func (s *session) drain() {
	defer s.recovered()
	endBy := time.Now().Add(s.service.Timeouts.Drain)
	time.AfterFunc(time.Until(endBy.Add(lingers)), s.unstick) // a peer that does not read holds the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == over || !s.endBy.IsZero() {
		return
	}
	s.endBy = endBy
	if s.asking { // nobody is dialled yet
		_ = s.clientConn.SetReadDeadline(time.Now())
	}
	if s.machine != nil { // else it is still dialling, and run looks at endBy
		s.timer.Reset(time.Until(endBy))
		s.follow()
	}
}

// abandon ends the session as it is.
func (s *session) abandon() {
	defer s.recovered()
	if !s.mu.TryLock() {
		s.unstick() // a peer that does not read holds the lock
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.machine != nil {
		s.end(drained, nil, goingDown)
	}
	for _, r := range s.relays {
		r.cut()
	}
	_ = s.clientConn.Close()
}

// tend looks after a pinhole that nobody has used: it is renewed while its
// data command waits, up to timeouts.transfer_start, and leaves when the
// kernel has ended it.
func (s *session) tend(p *pinhole, now time.Time) {
	defer s.recovered()
	if !s.mu.TryLock() { // a verdict is being carried out; a slow peer must not hold up the others
		return
	}
	defer s.mu.Unlock()
	t := &s.service.Timeouts
	switch {
	case !slices.Contains(s.pinholes, p), p.connected.Load():
	case !now.Before(p.expires):
		s.closePinhole(p, outcomeExpired)
	case p.mode == alg.ModeAUTH:
		if p.expires.Sub(now) < t.Pinhole/2 {
			s.gateway.pinholes.renew(p, now)
		}
	case s.machine.Transferring() && p.expires.Sub(now) < max(t.Pinhole/2, 3*tickEvery) && now.Sub(s.transfer) < t.TransferStart:
		s.gateway.pinholes.renew(p, now)
	}
}
