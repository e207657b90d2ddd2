package proxy

import (
	"net/netip"
	"testing"

	"ftpgate/alg"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// The pinholes of a service with one port each, as the firewall is asked for them.
const (
	passiveHole = "127.0.0.1 -> 127.0.0.2:61000 -> 127.0.0.3:2000 from 127.0.0.5:0"
	activeHole  = "127.0.0.3 -> 127.0.0.5:20000 -> 127.0.0.1:40000 from 127.0.0.2:20"
)

// connected is what conntrack tells when somebody has dialled the passive port.
func (d *dialogue) connected() {
	p := d.only()
	d.Connected(admitted(p.rule.From, p.rule.At, p.rule.To))
}

// only returns the one pinhole that is open.
func (g *gateway) only() *pinhole {
	g.t.Helper()
	g.pinholes.mu.Lock()
	defer g.pinholes.mu.Unlock()
	if len(g.pinholes.open) != 1 {
		g.t.Fatalf("%d pinholes, want 1", len(g.pinholes.open))
	}
	for _, p := range g.pinholes.open {
		return p
	}
	return nil
}

// wantCalls compares what the firewall was asked since the last time.
func (g *gateway) wantCalls(want ...string) {
	g.t.Helper()
	if diff := cmp.Diff(want, g.firewall.taken()); diff != "" {
		g.t.Errorf("firewall (-want +got):\n%s", diff)
	}
}

func (g *gateway) wantOutcome(m alg.Mode, how string) {
	g.t.Helper()
	for _, o := range pinholeOutcomes {
		want := 0.
		if o == how {
			want = 1
		}
		if n := testutil.ToFloat64(g.Metrics.pinholesTotal.WithLabelValues("files", m.String(), o)); n != want {
			g.t.Errorf("%v pinholes %s, want %v", n, o, want)
		}
	}
}

// When an unused passive pinhole closes (each as soon as the client has read
// the last line of the dialogue).
func TestPassivePinholeCloses(t *testing.T) {
	tests := map[string]func(d *dialogue){
		"at a final 550 to its command": func(d *dialogue) { d.command("RETR a"); d.reply("550 no such file") },
		"at a final 425 to its command": func(d *dialogue) { d.command("LIST"); d.reply("425 cannot open") },
		"at a 426 after a 150": func(d *dialogue) {
			d.command("STOR a")
			d.reply("150 go on")
			d.reply("426 broken off")
		},
		"at the 226": func(d *dialogue) { d.command("LIST"); d.reply("150 here it comes", "226 done") },
		"at ABOR":    func(d *dialogue) { d.command("LIST"); d.command("ABOR"); d.reply("225 nothing to abort") },
		"at REIN":    func(d *dialogue) { d.command("REIN"); d.reply("220 anew") },
	}
	for name, dialogue := range tests {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t, onePort).loggedIn()
			d.passive()
			d.wantCalls("open " + passiveHole)
			dialogue(d)
			d.wantCalls("close " + passiveHole)
			d.wantOutcome(alg.ModePASV, outcomeClosed)
		})
	}
}

func TestPassivePinholeClosesWithItsSession(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("QUIT")
	d.reply("221 bye")
	d.server.Close()
	d.client.wantEnd()
	d.client.Close()
	d.wantEnded(quit)
	d.wantCalls("open "+passiveHole, "close "+passiveHole)
	d.wantOutcome(alg.ModePASV, outcomeClosed)
}

// ABOR closes before the server has heard of it.
func TestAborClosesAtOnce(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.client.send("ABOR")
	d.server.want("ABOR")
	d.wantCalls("open "+passiveHole, "close "+passiveHole)
}

func TestActivePinholeClosesWhenTheServerRefusesPORT(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.client.send("PORT 127,0,0,1,156,64")
	d.server.want("PORT 127,0,0,5,78,32")
	d.wantCalls("open " + activeHole)
	d.reply("500 Illegal PORT command")
	d.wantCalls("close " + activeHole)
	d.wantOutcome(alg.ModePORT, outcomeClosed)
}

func TestActivePinholeClosesAtItsFinalReply(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.active()
	d.command("STOR a")
	d.reply("150 go on")
	d.wantCalls("open " + activeHole)
	d.reply("226 done")
	d.wantCalls("close " + activeHole)
}

// Replies to other commands, whatever they say, leave a pinhole alone.
func TestOtherRepliesLeaveAPinhole(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	for _, reply := range []string{"200 ok", "502 not here", "550 no", "425 what", "226 done"} {
		d.command("SITE HELP")
		d.reply(reply)
	}
	d.refused("AUTH TLS", `534 TLS is refused by the gateway (tls.mode = "refuse")`)
	d.wantCalls("open " + passiveHole)
	if d.firewall.open() != 1 {
		t.Error("the pinhole is closed")
	}
}

// The next set-up closes a pinhole by its success, not on sight of the command
// and not by its failure; the new one is there first.
func TestNextSetUpReplaces(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.wantCalls("open " + passiveHole)
	d.command("PASV")
	d.reply("425 not now")
	d.client.send("PORT 127,0,0,1,156,64")
	d.server.want("PORT 127,0,0,5,78,32")
	d.wantCalls("open " + activeHole)
	d.reply("200 PORT command successful")
	d.wantCalls("close " + passiveHole)
	d.wantOutcome(alg.ModePASV, outcomeReplaced)
}

// PASV RETR PASV RETR sent at once: each 227 is matched in its turn, and each
// transfer has its pinhole.
func TestPipelinedTransfers(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.client.send("PASV", "RETR a", "PASV", "RETR b")
	d.server.want("PASV", "RETR a", "PASV", "RETR b")
	for range 2 {
		d.server.send("227 Entering Passive Mode (127,0,0,3,7,208).")
		tupleIn(t, d.client.line())
		if n := d.firewall.open(); n != 1 {
			t.Errorf("%d pinholes are open, want 1", n)
		}
		d.connected()
		d.reply("150 here it comes", "226 done")
		if n := d.firewall.open(); n != 0 {
			t.Errorf("%d pinholes are open, want none", n)
		}
	}
}

// A used pinhole has consumed itself in the kernel: closing it writes nothing.
func TestUsedPinholeNeedsNoSecondWrite(t *testing.T) {
	ends := map[string]func(d *dialogue){
		"its transfer":  func(d *dialogue) { d.command("RETR a"); d.reply("150 here it comes", "226 done") },
		"a failure":     func(d *dialogue) { d.command("RETR a"); d.reply("451 disk error") },
		"ABOR":          func(d *dialogue) { d.command("RETR a"); d.command("ABOR"); d.reply("426 aborted", "226 ok") },
		"the next PASV": func(d *dialogue) { d.command("EPSV"); d.reply("425 not now") },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t, onePort).loggedIn()
			d.passive()
			d.connected()
			d.wantCalls("open "+passiveHole, "used "+passiveHole)
			end(d)
			d.leave()
			d.wantCalls()
			d.wantOutcome(alg.ModePASV, outcomeUsed)
		})
	}
}

// Only the peer of a pinhole uses it.
func TestConnectionOfAnother(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	at := d.passive()
	d.Connected(admitted(netip.MustParseAddr(otherClient), at, d.only().rule.To))
	old := netip.AddrPortFrom(d.only().rule.To.Addr(), d.only().rule.To.Port()+1)
	d.Connected(admitted(d.only().rule.From, at, old)) // late news of a connection that the port served before
	d.wantCalls("open " + passiveHole)
	if d.only().connected.Load() {
		t.Error("the pinhole counts as used")
	}
}

func TestCloseAll(t *testing.T) {
	g := newGateway(t)
	first, second := g.loggedIn(), g.loggedIn()
	first.passive()
	second.active()
	if n := g.CloseAll(); n != 2 {
		t.Errorf("closed %d pinholes, want 2", n)
	}
	if n := g.firewall.open(); n != 0 {
		t.Errorf("%d pinholes are open, want none", n)
	}
	g.eventually("the sessions have let go of their pinholes", func() bool {
		return testutil.ToFloat64(g.Metrics.portsInUse.WithLabelValues("files")) == 0
	})
	first.passive() // sessions go on
	second.passive()
}
