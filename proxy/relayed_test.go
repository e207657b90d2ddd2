package proxy

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/alg"

	"golang.org/x/sys/unix"
)

// Relayed data goes both ways in both modes, and what is said of it arrives.
func TestRelay(t *testing.T) {
	for name, set := range map[string]func(*dialogue) data{"passive": (*dialogue).passiveData, "active": (*dialogue).activeData} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t, relayAll).loggedIn()
			down := set(d)
			d.command("RETR a")
			d.reply("150 here it comes")
			carry(t, down.server, down.client, "down with it")
			d.reply("226 done")
			up := set(d)
			d.command("STOR b")
			d.reply("150 go on")
			carry(t, up.client, up.server, "up with it")
			d.reply("226 done")
			d.wantNoRelays()
		})
	}
}

// The half that the gateway dials comes from the address that its peer knows,
// and for active data from port 20 (RFC 959 §3.2).
func TestRelayDialsFrom(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	if from := addrPort(d.passiveData().server.RemoteAddr()).Addr(); from != netip.MustParseAddr(insideAddr) {
		t.Errorf("the server is dialled from %v", from)
	}
	if from := addrPort(d.activeData().client.RemoteAddr()); from != netip.MustParseAddrPort(gatewayAddr+":20") {
		t.Errorf("the client is dialled from %v", from)
	}
}

// What reaches the relay's port in another way than through its pinhole is reset.
func TestStrangersAtTheRelay(t *testing.T) {
	d := newGateway(t, relayAll, onePort).loggedIn()
	l := listenTCP(t, backendAddr+":0")
	at := d.passiveTo(addrPort(l.Addr()))
	relay := d.only().rule.To
	d.wantDataReset(otherClient, at, relay)                                        // another client
	d.wantDataReset(clientAddr, netip.AddrPortFrom(at.Addr(), at.Port()+1), relay) // another port
	d.wantDataReset(clientAddr, netip.AddrPort{}, relay)                           // the relay itself
	mine := data{d.dialData(clientAddr, at), acceptFrom(t, l)}                     // it is still there
	d.wantDataReset(clientAddr, at, relay)                                         // and admits one
	d.command("RETR a")
	carry(t, mine.server, mine.client, "for one")
	d.reply("226 done")
	d.wantDataReset(clientAddr, at, relay) // now it is gone
}

// A pinhole that leads into the kernel admits nobody to the relay.
func TestRelayOfAPinholeThatIsNotRelayed(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	at := d.passive()
	d.wantDataReset(clientAddr, at, d.relayPorts.at(at.Addr()))
	if d.only().connected.Load() {
		t.Error("the pinhole counts as used")
	}
}

// heldBack makes a transfer whose client does not read yet, and whose server
// has said 226 all the same.
func heldBack(t *testing.T, d *dialogue) (client *peer, whole string) {
	t.Helper()
	c := d.passiveData()
	d.command("RETR a")
	d.reply("150 here it comes")
	whole = strings.Repeat("so much that no socket buffer holds it all. ", 1<<19)
	go func() { // ends with the connection
		_, _ = c.server.Write([]byte(whole))
		_ = c.server.CloseWrite()
	}()
	d.server.send("226 done")
	d.eventually("the gateway has read the 226", d.serverIsRead)
	return c.client, whole
}

// serverIsRead reports whether the gateway has read all that the server said.
func (d *dialogue) serverIsRead() bool {
	far := d.session().dialled.Load()
	if far == nil {
		return false
	}
	outq, err := d.server.option(func(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCOUTQ) })
	inq, err2 := option(far.TCPConn, func(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCINQ) })
	if err != nil || err2 != nil {
		d.t.Fatal(err, err2)
	}
	return outq == 0 && inq == 0
}

// A 226 that overtakes its data would make clients close too early.
func TestFinalReplyWaitsForTheData(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	client, whole := heldBack(t, d)
	half := make([]byte, len(whole)/2)
	for n := 0; n < len(half); {
		_ = client.SetReadDeadline(time.Now().Add(patience))
		m, err := client.r.Read(half[n:])
		if err != nil {
			t.Fatal(err)
		}
		if n += m; d.client.unread() > 0 {
			t.Fatalf("the client has %q when it has read %d of %d bytes", d.client.line(), n, len(whole))
		}
	}
	client.wantAll(whole[len(half):])
	d.client.want("226 done")
}

// Replies to other commands do not wait, nor do those that tell of a failure.
func TestOtherRepliesDoNotWaitForTheData(t *testing.T) {
	for _, final := range []string{"226 done", "426 broken off", "451 disk error"} {
		d := newGateway(t, relayAll).loggedIn()
		c := d.passiveData()
		d.command("STOR a")
		d.reply("150 go on")
		d.command("NOOP")
		d.reply("200 still here")
		if final == "226 done" {
			carry(t, c.client, c.server, "some")
		}
		d.reply(final)
	}
}

// A server that does not take the data connection says so itself; the client's
// ends as it would have with the server.
func TestServerRefusesRelayedData(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	at := d.passiveTo(down(t))
	d.command("RETR a")
	d.wantDataReset(clientAddr, at, d.leadsTo(clientAddr, at))
	d.reply("425 nobody has come")
	next := d.passiveData() // which is none the worse
	d.command("RETR a")
	carry(t, next.server, next.client, "at last")
	d.reply("226 done")
}

// A client that does not take it either: its server learns that.
func TestClientRefusesRelayedData(t *testing.T) {
	needsPort20(t)
	d := newGateway(t, relayAll).loggedIn()
	nobody := listenTCP(t, clientAddr+":0")
	nobody.Close()
	at := d.activeTo(addrPort(nobody.Addr()))
	d.command("STOR a")
	d.wantDataReset(backendAddr, at, d.leadsTo(backendAddr, at))
	d.server.send("226 nothing came, so all of it")
	d.client.want("426 The data connection broke: the transfer is not complete")
}

// What was cut off on one side is cut off on the other, and no 226 hides it.
func TestRelayedDataIsReset(t *testing.T) {
	for name, reset := range map[string]func(data) (who, other *peer){
		"by the client": func(c data) (who, other *peer) { return c.client, c.server },
		"by the server": func(c data) (who, other *peer) { return c.server, c.client },
	} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t, relayAll).loggedIn()
			who, other := reset(d.passiveData())
			d.command("STOR a")
			d.reply("150 go on")
			who.write("half of i")
			who.reset()
			other.wantReset()
			d.server.send("226 done")
			d.client.want("426 The data connection broke: the transfer is not complete")
			d.command("NOOP")
			d.reply("200 in step")
		})
	}
}

// ABOR cuts at once: nobody waits for what is under way.
func TestAborCutsARelay(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	c := d.passiveData()
	d.command("RETR a")
	d.reply("150 here it comes")
	d.command("ABOR")
	c.client.wantReset()
	c.server.wantReset()
	d.reply("426 aborted", "226 abort successful")
	d.wantNoRelays()
}

// Also while its 226 is held, which the ABOR makes untrue.
func TestAborOfATransferWhoseReplyIsHeld(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	heldBack(t, d)
	d.command("ABOR")
	d.client.want("426 The data connection broke: the transfer is not complete")
	d.reply("225 nothing to abort")
	d.wantNoRelays()
}

// A session that ends does not cut what runs.
func TestRelayOutlivesItsSession(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	c := d.passiveData()
	d.command("RETR a")
	d.reply("150 here it comes")
	c.server.write("first half, ")
	d.client.Close()
	d.server.wantEnd()
	d.server.Close()
	d.wantEnded(clientClosed)
	c.server.write("second half")
	c.server.finish()
	c.client.wantAll("first half, second half")
	c.client.finish()
	d.wantNoRelays()
}

// But one that has not begun comes too late.
func TestRelayOfAnEndedSession(t *testing.T) {
	d := newGateway(t, relayAll, onePort).loggedIn()
	at := d.passive()
	relay := d.only().rule.To
	d.leave()
	d.wantDataReset(clientAddr, at, relay)
}

// A server that is quick has sent all and said 226 before the relay has looked
// at its connection: the data is not lost.
func TestServerIsQuickerThanTheRelay(t *testing.T) {
	needsPort20(t)
	d := newGateway(t, relayAll).loggedIn()
	l := listenTCP(t, clientAddr+":0")
	at := d.activeTo(addrPort(l.Addr()))
	d.command("LIST")
	look := make(chan struct{})
	d.nat.hold(func() { <-look })
	server := d.dialData(backendAddr, at)
	server.write("a short list")
	server.finish()
	d.reply("150 here it comes")
	d.server.send("226 done")
	d.eventually("the gateway has read the 226", d.serverIsRead)
	close(look)
	client := acceptFrom(t, l)
	client.wantAll("a short list")
	client.finish()
	d.client.want("226 done")
	server.wantEnd()
	d.wantOutcome(alg.ModePORT, outcomeUsed)
}
