package proxy

import (
	"testing"
	"time"
)

// A data command whose data connection never comes, and that the server never
// answers, does not keep its session for ever.
func TestTransferThatNeverBegins(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) {
		s.Timeouts.Idle, s.Timeouts.TransferStart = 100*time.Millisecond, 300*time.Millisecond
	}).loggedIn()
	d.passive()
	d.command("RETR a")
	d.client.want("421 No data connection in time: closing the control connection")
	d.client.Close()
	d.wantEnded(timedOut)
}

// One whose data connection has come may take as long as it likes.
func TestTransferThatHasBegun(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) {
		s.Timeouts.Idle, s.Timeouts.TransferStart = 100*time.Millisecond, 100*time.Millisecond
	})
	d := g.loggedIn()
	d.passive()
	d.command("RETR a")
	d.connected()
	for range 3 { // time passes
		idle := g.loggedIn()
		idle.client.want("421 Idle for too long: closing the control connection")
		idle.client.Close()
		g.wantEnded(timedOut)
	}
	d.reply("226 done")
	d.client.want("421 Idle for too long: closing the control connection")
	d.client.Close()
	g.wantEnded(timedOut)
}

// A client that hardly reads what it asked for keeps the session's lock; the
// clock gets the better of it.
func TestClientThatHardlyReads(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Login = time.Second / 2 }).greeted()
	if err := d.client.SetReadBuffer(4 << 10); err != nil { // full long before the clock looks: one that finds the lock free ends the session as idle
		t.Fatal(err)
	}
	d.command("HELP")
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		line := []byte("214-" + string(make([]byte, 4000)) + "\r\n")
		for {
			if _, err := d.server.Write(line); err != nil {
				return // the session has ended
			}
		}
	}()
	d.wantEnded(broken)
	<-flooded
}
