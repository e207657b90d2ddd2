package proxy

import (
	"testing"
	"time"
)

const short = 150 * time.Millisecond

// wantTimeout waits for the client to be told that time is over.
func (d *dialogue) wantTimeout(word, cause string) {
	d.t.Helper()
	d.client.want(word)
	d.client.wantEnd()
	d.client.Close()
	d.server.wantGone()
	if got := d.wantEnded(timedOut)["cause"]; got != cause {
		d.t.Errorf("cause %q, want %q", got, cause)
	}
}

func TestGreetingTimeout(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Greeting = short }).connect()
	d.wantTimeout("421 The FTP server behind this gateway does not answer: try again later",
		"no greeting from the server (timeouts.greeting)")
}

// A client that has begun to speak waits for the greeting no longer than others.
func TestGreetingTimeoutOfAWaitingClient(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Greeting = short }).connect()
	d.client.send("USER anna")
	d.wantTimeout("421 The FTP server behind this gateway does not answer: try again later",
		"no greeting from the server (timeouts.greeting)")
}

func TestLoginTimeout(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Login = short }).greeted()
	d.command("USER anna") // which does not begin the time anew
	d.wantTimeout("421 No login in time: closing the control connection", "no login (timeouts.login)")
}

func TestIdleTimeout(t *testing.T) {
	d := newGateway(t, onePort, func(_ *Settings, s *Service) { s.Timeouts.Idle = short }).loggedIn()
	d.passive()
	d.wantTimeout("421 Idle for too long: closing the control connection", "idle (timeouts.idle)")
	d.wantCalls("open "+passiveHole, "close "+passiveHole)
}

// Each phase has its own clock: who is logged in has nothing to do with the
// login's any more, and after REIN it begins anew.
func TestClocksOfThePhases(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Login = short }).loggedIn()
	s := d.session()
	timeLeft := func() (time.Duration, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.timeLeft(time.Now())
	}
	if left, what := timeLeft(); what != errIdle || left <= short {
		t.Errorf("logged in: %v, %v", left, what)
	}
	d.command("REIN")
	d.reply("220 anew")
	d.wantTimeout("421 No login in time: closing the control connection", "no login (timeouts.login)")
}

// A server that goes on when its client has gone is given up.
func TestServerGoesOnWithoutItsClient(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.client.Close()
	d.server.wantEnd()
	s := d.session()
	s.mu.Lock()
	left, what := s.timeLeft(time.Now())
	late, _ := s.timeLeft(time.Now().Add(closing))
	s.mu.Unlock()
	if what != errGone || left <= 0 || left > closing || late > 0 {
		t.Errorf("%v left, and %v after %v; cause %v", left, late, closing, what)
	}
	d.server.Close()
	d.wantEnded(clientClosed)
}
