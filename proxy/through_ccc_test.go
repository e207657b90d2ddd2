package proxy

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

// ccc is how client and server end their TLS (RFC 4217 §5), up to the client's
// close_notify.
func (d *dialogue) ccc() {
	d.t.Helper()
	d.command("CCC")
	d.reply("200 in clear")
	if err := d.server.tls.CloseWrite(); err != nil {
		d.t.Fatal(err)
	}
	d.client.wantEnd()
}

// When TLS has ended the gateway sees commands again: the ports close, and a
// data connection gets a pinhole of its own.
func TestCCCBehindTLSThatPasses(t *testing.T) {
	for name, end := range map[string]func(d *dialogue){
		"close_notify": func(d *dialogue) {
			if err := d.client.tls.CloseWrite(); err != nil {
				d.t.Fatal(err)
			}
			d.client.clear()
			d.client.send("PASV")
		},
		"close_notify in the same segment": func(d *dialogue) {
			d.client.wire.keep = true
			if err := d.client.tls.CloseWrite(); err != nil {
				d.t.Fatal(err)
			}
			d.client.clear()
			d.client.write(string(d.client.wire.kept) + "PASV\r\n")
		},
		"no close_notify": func(d *dialogue) {
			d.client.clear()
			d.client.send("PASV")
		},
	} {
		t.Run(name, func(t *testing.T) {
			everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
				k := newKeyring(t)
				d := newGateway(t, passTLS, onePort).through(k, only)
				d.logIn()
				d.wantCalls("open " + passHole)
				d.ccc()
				end(d)
				if name != "no close_notify" {
					d.server.wantEnd()
				}
				d.server.clear()
				d.server.want("PASV")
				d.server.send("227 Entering Passive Mode (127,0,0,3,7,208).")
				d.client.want("227 Entering Passive Mode (127,0,0,2,238,72).")
				d.wantCalls("close "+passHole, "open "+passiveHole)
				d.command("RETR a")
				d.connected()
				d.reply("150 here it comes", "226 done")
				d.refused("AUTH TLS", "503 TLS has been negotiated already")
				d.server.Close()
				d.client.want(serverGone) // now it can be understood
			})
		})
	}
}

// The gateway's own replies too.
func TestRefusalBehindCCC(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, passTLS).through(k, usual)
	d.logIn()
	d.ccc()
	if err := d.client.tls.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	d.client.clear()
	d.refused("PORT 10,0,0,9,156,64", "504 The data address must be the address that you connect from")
	d.server.wantEnd()
	d.server.clear()
	d.command("NOOP")
	d.reply("200 in clear")
}

// The server may be the first to speak in clear.
func TestServerSpeaksBehindCCC(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, passTLS).through(k, usual)
	d.logIn()
	d.ccc()
	d.client.clear()
	d.server.clear()
	d.reply("421 timeout")
	d.server.Close()
	d.client.wantEnd()
	d.client.Close()
	d.wantEnded(serverClosed)
}

// carriedFlow is a connection of from, that the kernel has taken to the server.
func carriedFlow(from, server string) conntrack.Flow {
	at := netip.MustParseAddrPort(gatewayAddr + ":50000")
	return conntrack.Flow{
		Orig:  conntrack.Tuple{Src: netip.MustParseAddrPort(from + ":40000"), Dst: at},
		Reply: conntrack.Tuple{Src: netip.MustParseAddrPort(server + ":50000"), Dst: netip.MustParseAddrPort(insideAddr + ":40000")},
		State: conntrack.Established, Status: conntrack.DNAT,
	}
}

// Nobody sees a transfer within TLS that passes. The idle clock goes by what
// the kernel carries for the client. An idle session beside it shows that time
// has passed.
func TestIdleClockOfTLSThatPasses(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, passTLS, func(_ *Settings, s *Service) { s.Timeouts.Idle = short })
	g.flows.carry(carriedFlow(otherClient, backendAddr), carriedFlow(clientAddr, backendAddr))
	d := g.through(k, usual)
	d.logIn()
	for range 3 {
		idle := g.loggedIn()
		idle.client.want("421 Idle for too long: closing the control connection")
		idle.client.Close()
		g.wantEnded(timedOut)
	}
	d.command("NOOP")
	d.reply("200 still here")
	g.flows.carry(carriedFlow(otherClient, backendAddr), carriedFlow(clientAddr, "127.0.0.9")) // of another client, to another server
	d.client.clear()
	d.client.wantEnd() // without a word
	d.client.Close()
	if cause := g.wantEnded(timedOut)["cause"]; cause != errIdle.Error() {
		t.Errorf("cause %q", cause)
	}
}

// Where conntrack cannot be asked, no session lives for ever.
func TestIdleClockWithoutConntrack(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, passTLS, func(_ *Settings, s *Service) { s.Timeouts.Idle = short })
	g.flows.answer(false, nft.ErrFull)
	d := g.through(k, usual)
	d.client.wantGone()
	d.client.Close()
	g.wantEnded(timedOut)
}

// pass returns the one opening for TLS that passes.
func (g *gateway) pass() *pinhole {
	g.t.Helper()
	g.pinholes.mu.Lock()
	defer g.pinholes.mu.Unlock()
	for p := range g.pinholes.passes {
		return p
	}
	g.t.Fatal("nothing is open for TLS that passes")
	return nil
}

// It is renewed for as long as its session lives.
func TestPassIsRenewed(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, passTLS).through(k, usual)
	opened := d.pass().opened
	d.pinholes.tick(opened.Add(pinholeLasts / 3))
	d.wantCalls("open " + passHole)
	for at := 2 * pinholeLasts / 3; at < time.Hour; at += 2 * pinholeLasts / 3 {
		d.pinholes.tick(opened.Add(at))
		d.wantCalls("renew " + passHole)
	}
	d.server.Close()
	d.client.wantGone()
	d.client.Close()
	d.wantEnded(serverClosed)
	d.wantCalls("close " + passHole)
	d.wantOutcome(alg.ModeAUTH, outcomeClosed)
}

// One that the kernel has lost is given up.
func TestPassIsLost(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, passTLS).through(k, usual)
	p := d.pass()
	d.firewall.expire(p.rule)
	d.firewall.hook(&d.firewall.onRenew, func(nft.Pinhole) error { return nft.ErrMissing })
	d.pinholes.tick(p.opened.Add(2 * pinholeLasts / 3))
	d.pinholes.tick(p.opened.Add(pinholeLasts))
	d.wantCalls("open "+passHole, "renew refused "+passHole)
	d.wantOutcome(alg.ModeAUTH, outcomeExpired)
	d.logIn() // its session goes on
}
