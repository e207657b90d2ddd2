package proxy

import (
	"context"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
)

// tick lets the upkeep see the clock at some time after the pinhole was opened,
// when the session is through with its last line.
func (d *dialogue) tick(after time.Duration) {
	d.t.Helper()
	p := d.only()
	p.session.mu.Lock()
	ended := p.session.ended
	p.session.mu.Unlock()
	if ended != "" {
		d.t.Fatalf("the session has ended: %s", ended)
	}
	d.pinholes.tick(p.opened.Add(after))
}

// The usual service has pinholes of one minute and five minutes to begin a transfer.
const pinholeLasts = time.Minute

func TestUnusedPinholeExpires(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	rule := d.only().rule
	d.tick(pinholeLasts - 1)
	d.wantCalls("open " + passiveHole)
	d.firewall.expire(rule) // by the kernel, at the same time
	d.tick(pinholeLasts)
	d.wantCalls()
	d.wantOutcome(alg.ModePASV, outcomeExpired)
	d.passive() // its port is free
}

// While its data command waits for a slow server or client, it is renewed, but
// not for ever.
func TestPinholeOfAWaitingTransferIsRenewed(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.tick(pinholeLasts / 3)
	d.wantCalls("open " + passiveHole)
	for at := 2 * pinholeLasts / 3; at < 5*time.Minute; at += 2 * pinholeLasts / 3 {
		d.tick(at)
		d.wantCalls("renew " + passiveHole)
	}
	rule := d.only().rule
	d.tick(5*time.Minute + 20*time.Second) // later than timeouts.transfer_start
	d.wantCalls()
	d.firewall.expire(rule)
	d.tick(5*time.Minute + pinholeLasts)
	d.wantOutcome(alg.ModePASV, outcomeExpired)
}

func TestUsedPinholeIsNotRenewed(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.connected()
	d.tick(50 * time.Second)
	d.tick(time.Hour)
	d.wantCalls("open "+passiveHole, "used "+passiveHole)
	d.reply("150 here it comes", "226 done")
	d.wantOutcome(alg.ModePASV, outcomeUsed)
}

// What the kernel does not have any more is not renewed, and expires in time.
func TestRenewalComesTooLate(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	rule := d.only().rule
	d.firewall.expire(rule)
	d.firewall.hook(&d.firewall.onRenew, func(nft.Pinhole) error { return nft.ErrMissing })
	d.tick(50 * time.Second)
	d.tick(pinholeLasts)
	d.wantCalls("open "+passiveHole, "renew refused "+passiveHole)
	d.wantOutcome(alg.ModePASV, outcomeExpired)
}

// A connection that comes in the instant of the renewal leaves the pinhole open
// again behind it: it is closed, whichever of the two is noticed first.
func TestConnectionDuringTheRenewal(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.firewall.hook(&d.firewall.onRenew, func(nft.Pinhole) error {
		d.connected()
		return nil
	})
	d.tick(50 * time.Second)
	if !d.only().connected.Load() {
		t.Error("the connection went unnoticed")
	}
	d.wantCalls("open "+passiveHole, "close "+passiveHole, "renew "+passiveHole, "close "+passiveHole)
}

func TestConnectionAfterARenewal(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.tick(50 * time.Second)
	d.connected()
	d.wantCalls("open "+passiveHole, "renew "+passiveHole, "close "+passiveHole)
}

// The upkeep does not wait for a session that is busy.
func TestTickPassesOverABusySession(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	s, p := d.session(), d.only()
	s.mu.Lock()
	d.pinholes.tick(p.opened.Add(pinholeLasts)) // would not return
	s.mu.Unlock()
	d.wantCalls("open " + passiveHole)
	if d.only() != p {
		t.Error("the pinhole has gone while its session was busy")
	}
	d.firewall.expire(p.rule)
	d.tick(pinholeLasts)
	d.wantOutcome(alg.ModePASV, outcomeExpired)
}

func TestRunExpiresPinholes(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Pinhole = 50 * time.Millisecond }).loggedIn()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- d.Run(ctx) }()
	var rule nft.Pinhole
	d.firewall.hook(&d.firewall.onOpen, func(p nft.Pinhole) error {
		rule = p
		return nil
	})
	d.passive()
	d.eventually("the pinhole has expired", func() bool {
		d.pinholes.mu.Lock()
		defer d.pinholes.mu.Unlock()
		return len(d.pinholes.open) == 0
	})
	d.firewall.expire(rule)
	stop()
	if err := <-done; err != nil {
		t.Errorf("Run: %v", err)
	}
}
