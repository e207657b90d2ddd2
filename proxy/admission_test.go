package proxy

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

const turnedAway = "421 The gateway takes no new sessions now: try again later"

// drainBy drains by command, or ends that, and looks at what is said of it.
func (g *gateway) drainBy(on bool, sessions int) {
	g.t.Helper()
	if n := g.SetDraining(on); n != sessions {
		g.t.Errorf("%d sessions go on, want %d", n, sessions)
	}
	if g.Draining() != on {
		g.t.Errorf("Draining: %v", g.Draining())
	}
	if n := testutil.ToFloat64(g.Metrics.draining); n != number(on) {
		g.t.Errorf("ftpgate_draining is %v", n)
	}
	if why := errors.Join(g.Ready()...); errors.Is(why, ErrDrained) != on || !on && why != nil {
		g.t.Errorf("Ready: %v", why)
	}
}

// Who is there goes on, also with new transfers; who comes is turned away.
func TestDrainByCommand(t *testing.T) {
	g := newGateway(t)
	d := g.loggedIn()
	g.drainBy(true, 1)
	g.drainBy(true, 1)
	g.wantTurnedAway(clientAddr, turnedAway, refusedDrained)
	g.reload(func(s *Service) { s.Ports.Last++ })
	g.wantTurnedAway(otherClient, turnedAway, refusedDrained)
	d.passive()
	d.command("RETR a")
	d.connected()
	d.reply("150 here it comes", "226 done")
	g.drainBy(false, 1)
	other := g.loggedIn()
	other.leave()
	d.leave()
}

// Going down is the end of it: it works from there, and no command takes it back.
func TestGoingDownBehindADrainByCommand(t *testing.T) {
	g := newGateway(t)
	d := g.loggedIn()
	g.drainBy(true, 1)
	done := make(chan struct{})
	go func() { defer close(done); g.Drain() }()
	d.client.want(wordOfDrain)
	d.client.Close()
	<-done
	g.wantEnded(drained)
	g.SetDraining(false)
	if why := errors.Join(g.Ready()...); !errors.Is(why, ErrDraining) || !g.Draining() {
		t.Errorf("Ready: %v; Draining: %v", why, g.Draining())
	}
	if n := testutil.ToFloat64(g.Metrics.draining); n != 1 {
		t.Errorf("ftpgate_draining is %v", n)
	}
}
