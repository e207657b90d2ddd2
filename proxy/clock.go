package proxy

import (
	"errors"
	"slices"
	"time"
)

// A session has one timer. It is set for the earliest deadline there can be
// and looks, when it fires, how far away that is by now: lines cost it nothing.

// checkTime ends the session if its time is over, else comes back.
func (s *session) checkTime() {
	defer s.recovered()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == over {
		return
	}
	left, what := s.timeLeft(time.Now())
	if left > 0 {
		s.timer.Reset(left)
		return
	}
	s.end(timedOut, what, timeoutWord(what))
}

var (
	errGreeting = errors.New("no greeting from the server (timeouts.greeting)")
	errLogin    = errors.New("no login (timeouts.login)")
	errIdle     = errors.New("idle (timeouts.idle)")
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
	case open:
		if !busy {
			return s.lastLine.Add(t.Idle).Sub(now), errIdle
		}
	}
	return t.Idle, errIdle
}

// drain ends a session that does nothing, and lets a running transfer end.
func (s *session) drain() {
	defer s.recovered()
	endBy := time.Now().Add(s.service.Timeouts.Drain)
	_ = s.clientConn.SetWriteDeadline(endBy) // or a client that does not read would hold the lock for longer
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == over || !s.endBy.IsZero() {
		return
	}
	s.endBy = endBy
	if s.machine != nil { // else it is still dialling, and run looks at endBy
		s.timer.Reset(time.Until(endBy))
		s.follow()
	}
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
	case s.machine.Transferring() && p.expires.Sub(now) < max(t.Pinhole/2, 3*tickEvery) && now.Sub(p.opened) < t.TransferStart:
		s.gateway.pinholes.renew(p, now)
	}
}
