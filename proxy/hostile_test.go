package proxy

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Edge 17: what a client sends before the greeting is held, and goes on behind it.
func TestClientSpeaksFirst(t *testing.T) {
	d := newGateway(t).connect()
	d.client.send("USER anna", "PASS s3cret")
	if n := d.server.unread(); n != 0 {
		t.Errorf("the server has %d bytes before its greeting", n)
	}
	d.server.send("220-wait", "220 ready")
	d.client.want("220-wait", "220 ready")
	d.server.want("USER anna", "PASS s3cret")
}

// Edges 17 and 18: another protocol is cut, before the greeting and after it,
// whether or not its line has an end and however it is segmented.
func TestAnotherProtocolIsCut(t *testing.T) {
	protocols := map[string]string{
		"HTTP":                    "GET / HTTP/1.1\r\nHost: ftp\r\n\r\n",
		"HTTP without a line end": "POST /",
		"TLS":                     "\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
		"SSH":                     "SSH-2.0-OpenSSH_9.2\r\n",
	}
	for name, first := range protocols {
		for when, begin := range map[string]func(*gateway) *dialogue{
			" before the greeting": (*gateway).connect,
			" after the greeting":  (*gateway).greeted,
		} {
			t.Run(name+when, func(t *testing.T) {
				d := begin(newGateway(t))
				for _, b := range []byte(first) {
					_ = d.client.SetWriteDeadline(time.Now().Add(patience))
					if _, err := d.client.Write([]byte{b}); err != nil {
						break // cut already
					}
				}
				d.client.want("421 This port speaks FTP")
				d.client.wantEnd()
				d.client.Close()
				d.server.wantGone()
				d.wantEnded(violated)
				if n := testutil.ToFloat64(d.Metrics.refusals.WithLabelValues("files", "not_ftp")); n != 1 {
					t.Errorf("%v refusals, want 1", n)
				}
			})
		}
	}
}

// Not so in the middle of a session, where it is just no command.
func TestAnotherProtocolInTheMiddle(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("HEAD of the file")
	d.reply("500 unknown")
}

// Garbage costs its own session, and nobody else's time.
func TestGarbageFlood(t *testing.T) {
	g := newGateway(t)
	bystander := g.loggedIn()
	flooder := g.greeted()
	flooder.command("NOOP") // with CRLF: from now on all lines need it
	flooder.reply("200 ok")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		random := rand.New(rand.NewPCG(1, 2))
		block := make([]byte, 4<<10)
		_ = flooder.client.SetWriteDeadline(time.Now().Add(patience))
		for {
			for i := range block {
				block[i] = byte(random.Uint32())
			}
			copy(block[len(block)-3:], "\x00\r\n")
			if _, err := flooder.client.Write(block); err != nil {
				return
			}
		}
	}()
	for range 100 {
		bystander.command("NOOP")
		bystander.reply("200 ok")
	}
	g.wantEnded(violated)
	<-gone
	bystander.passive()
}

// stuck makes a session whose client reads nothing: the gateway is held up in
// the middle of writing to it, and takes nothing from the server for some time.
func (g *gateway) stuck() *dialogue {
	d := g.loggedIn()
	d.passive()
	d.client.send("HELP")
	d.server.want("HELP")
	lines := []byte(strings.Repeat("214-"+strings.Repeat("x", 1000)+"\r\n", 64))
	for s, times := d.session(), 0; times < 3; times++ {
		_ = d.server.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		if n, _ := d.server.Write(lines); n > 0 || s.mu.TryLock() {
			if n == 0 {
				s.mu.Unlock()
			}
			times = -1 // it is only slow
		}
	}
	return d
}

// A client that does not read holds up its own session alone: not the others,
// not the upkeep, not the emergency stop.
func TestClientThatDoesNotRead(t *testing.T) {
	g := newGateway(t)
	d := g.stuck()
	other := g.loggedIn()
	g.pinholes.tick(time.Now().Add(time.Hour))
	if n := testutil.ToFloat64(g.Metrics.portsInUse.WithLabelValues("files")); n != 1 {
		t.Errorf("%v ports in use, want that of the session that could not be asked", n)
	}
	if n := g.CloseAll(); n != 1 {
		t.Errorf("closed %d pinholes, want 1", n)
	}
	if n := g.firewall.open(); n != 0 {
		t.Error("the pinhole of the session that is held up is open")
	}
	other.passive()
	d.client.reset() // lets go of the write
	g.wantEnded(broken)
}

// Nor does it hold up the end of the daemon for longer than timeouts.drain.
func TestDrainWithAClientThatDoesNotRead(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Drain = short })
	g.stuck()
	g.Drain()
	g.wantEnded(broken)
}
