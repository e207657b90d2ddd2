package proxy

import (
	"strings"
	"testing"
	"time"
)

const serverGone = "421 The server has closed the connection"

// Edge 79: the bare end of a control connection is its end, whatever was said
// before. A client that goes without QUIT ends its half; the server ends the rest.
func TestClientGoesWithoutQUIT(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.leave()
	d.wantCalls("open "+passiveHole, "close "+passiveHole)
}

// Edge 79, the other way round: the client learns that its server has gone.
func TestServerGoesWithoutAWord(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.server.Close()
	d.client.want(serverGone)
	d.client.wantEnd()
	d.client.Close()
	d.wantEnded(serverClosed)
	if n := d.firewall.open(); n != 0 {
		t.Errorf("%d pinholes are open", n)
	}
}

func TestServerGoesWithinALine(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("STAT")
	d.server.write("211 all is w")
	d.server.Close()
	d.client.want("211 all is w", serverGone)
	d.client.wantEnd()
}

// What a server says last is the last word; ours would only confuse.
func TestServerSaysWhyItGoes(t *testing.T) {
	for _, word := range []string{"421 Timeout.", "221 Goodbye."} {
		t.Run(word, func(t *testing.T) {
			d := newGateway(t).loggedIn()
			d.reply(word)
			d.server.Close()
			d.client.wantEnd()
			d.client.Close()
			d.wantEnded(serverClosed)
		})
	}
}

// After QUIT the end is no surprise, and needs no word of ours.
func TestServerGoesAtQUIT(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("QUIT")
	d.server.Close()
	d.client.wantEnd()
	d.client.Close()
	d.wantEnded(quit)
}

// Its last words reach the client even when the connection is reset behind
// them, and when the client still sends.
func TestServerResets(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.reply("220 one more thing")
	d.server.reset()
	d.client.want(serverGone)
	d.client.send("NOOP", "NOOP", "NOOP")
	d.client.wantEnd()
	d.client.Close()
	if cause := d.wantEnded(broken)["cause"]; cause == nil {
		t.Error("the log has no cause")
	}
}

// Edge 80: QUIT during a transfer leaves the data alone; 226 and 221 follow.
func TestQuitDuringATransfer(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.connected()
	d.reply("150 here it comes")
	d.command("QUIT")
	d.reply("226 done", "221 bye")
	d.server.Close()
	d.client.wantEnd()
	d.client.Close()
	d.wantEnded(quit)
	d.wantCalls("open "+passiveHole, "used "+passiveHole) // nothing that could cut it
}

// Edge 80: a client that waits for nothing after QUIT.
func TestQuitDuringATransferAndGo(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.command("RETR a")
	d.connected()
	d.reply("150 here it comes")
	d.client.send("QUIT")
	d.client.Close()
	d.server.want("QUIT")
	d.server.wantEnd()
	d.server.send("226 done", "221 bye")
	d.server.Close()
	d.wantEnded(quit)
}

// Edge 81: a client that shuts its side down after QUIT still gets replies.
func TestHalfCloseAfterQUIT(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.client.send("STAT", "QUIT")
	if err := d.client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	d.server.want("STAT", "QUIT")
	d.server.wantEnd()
	d.reply("211 fine", "221-You have", "221 been here")
	if err := d.server.CloseWrite(); err != nil { // the server's half-close after 221
		t.Fatal(err)
	}
	d.client.wantEnd()
	d.wantEnded(quit)
}

// Edge 82: a reset of the client closes the server's connection at once, and
// the pinhole that nobody has used.
func TestClientResets(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.client.reset()
	d.server.wantGone()
	if cause := d.wantEnded(broken)["cause"]; cause == nil {
		t.Error("the log has no cause")
	}
	d.wantCalls("open "+passiveHole, "close "+passiveHole)
}

// Edge 82: likewise while the server speaks.
func TestClientResetsWhileTheServerSpeaks(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("HELP")
	d.client.reset()
	for range 1000 {
		_ = d.server.SetWriteDeadline(time.Now().Add(patience))
		if _, err := d.server.Write([]byte("214-" + strings.Repeat("x", 1000) + "\r\n")); err != nil {
			break // reset by the gateway
		}
	}
	d.wantEnded(broken)
}

// Edge 66: the idle clock stands still while a transfer runs. The idle session
// beside it is what shows that time has passed.
func TestNoIdleTimeoutDuringATransfer(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Idle = 100 * time.Millisecond })
	d := g.loggedIn()
	d.passive()
	d.command("RETR a")
	d.reply("150 here it comes")
	for range 3 {
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

// An idle session that the client ends has ended by that: the clock of its
// last line does not count any more.
func TestClientGoesAfterALongTime(t *testing.T) {
	d := newGateway(t).loggedIn()
	s := d.session()
	s.mu.Lock()
	s.lastLine = s.lastLine.Add(-50 * time.Second)
	s.mu.Unlock()
	if err := d.client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	d.server.wantEnd()
	d.reply("221 bye then")
	d.server.Close()
	d.client.wantEnd()
	d.wantEnded(clientClosed)
}

// The word that ends a session is delivered although the client has sent what
// nobody will read: a bare close would reset the connection under it.
func TestLastWordIsDelivered(t *testing.T) {
	d := newGateway(t).loggedIn()
	s := d.session()
	s.mu.Lock() // what the client sends now is not read before the end
	for range 100 {
		d.client.send("NOOP")
	}
	s.end(timedOut, errIdle, timeoutWord(errIdle))
	s.mu.Unlock()
	d.server.wantGone()
	d.client.want("421 Idle for too long: closing the control connection")
	d.client.send("NOOP")
	d.client.wantEnd()
}
