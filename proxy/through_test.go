package proxy

import (
	"crypto/tls"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/internal/lab/pki"
	"ftpgate/nft"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// passTLS lets TLS pass a service, with ports for its data.
func passTLS(_ *Settings, s *Service) {
	s.TLS = TLS{Mode: alg.PassTLS, PassPorts: PortRange{50000, 50099}, PassTo: 50000, PassFlows: 4}
}

// passHole is what admits the client's data.
var passHole = nft.Pinhole{
	From: netip.MustParseAddr(clientAddr), At: netip.MustParseAddrPort(gatewayAddr + ":0"),
	To: netip.MustParseAddrPort(backendAddr + ":0"), Source: netip.MustParseAddrPort(insideAddr + ":0"), Flows: 4,
}.String()

const goOn = "234 go on"

// through begins a session whose TLS passes: the server's is behind the peer server.
func (g *gateway) through(k *keyring, only func(*tls.Config) *tls.Config) *dialogue {
	g.t.Helper()
	d := g.greeted()
	d.command("AUTH TLS")
	d.reply(goOn)
	d.shake(only(k.client()), k.server(k.issue(pki.Request{Names: []string{gatewayName}})))
	return d
}

// shake is a handshake between client and server.
func (d *dialogue) shake(client, server *tls.Config) {
	d.t.Helper()
	done := make(chan error, 1)
	go func() { done <- d.server.secure(tls.Server, server) }()
	d.client.mustSecure(tls.Client, client)
	if err := <-done; err != nil {
		d.t.Fatal(err)
	}
}

// usual leaves TLS to choose its version.
func usual(c *tls.Config) *tls.Config { return c }

// What passes is client's and server's alone, and arrives as it was.
func TestTLSPasses(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		d := newGateway(t, passTLS).through(k, only)
		d.logIn()
		d.command("PASV")
		d.reply("227 Entering Passive Mode (127,0,0,2,195,80)") // nobody touches it
		long := strings.Repeat("x", 100000)
		d.command("SITE " + long)
		d.reply("200-"+long, "200 "+long)
		d.wantCalls("open " + passHole)
		d.command("QUIT")
		d.reply("221 bye")
		d.server.Close()
		d.client.wantEnd() // no word of the gateway's has fallen into the TLS, which would be no record of it
		d.client.Close()
		d.wantEnded(serverClosed)
		d.wantCalls("close " + passHole)
	})
}

// The way for the data is open before the server hears of AUTH.
func TestPassIsOpenBeforeAUTH(t *testing.T) {
	g := newGateway(t, passTLS)
	d := g.greeted()
	seen := d.arrived(d.server)
	d.client.send("AUTH TLS")
	if n := <-seen; n != 0 {
		t.Errorf("%d bytes were with the server before the pinhole", n)
	}
	d.server.want("AUTH TLS")
	if n := testutil.ToFloat64(g.Metrics.portsInUse.WithLabelValues("files")); n != 0 {
		t.Errorf("%v ports are in use: it holds none", n)
	}
	if n := testutil.ToFloat64(g.Metrics.pinholes.WithLabelValues("files", "AUTH")); n != 1 {
		t.Errorf("%v pinholes, want 1", n)
	}
}

func TestPassClosesWhenAUTHIsRefused(t *testing.T) {
	d := newGateway(t, passTLS).greeted()
	d.command("AUTH TLS")
	d.wantCalls("open " + passHole)
	d.reply("534 not here")
	d.logIn() // in clear, and inspected
	d.wantCalls("close " + passHole)
	d.wantOutcome(alg.ModeAUTH, outcomeClosed)
	d.passive()
}

func TestPassCannotBeOpened(t *testing.T) {
	d := newGateway(t, passTLS).greeted()
	d.firewall.hook(&d.firewall.onOpen, func(nft.Pinhole) error { return nft.ErrFull })
	d.refused("AUTH TLS", "431 TLS needs a data path that cannot be had now: try again later")
	d.firewall.hook(&d.firewall.onOpen, nil)
	d.logIn()
	d.wantOutcome(alg.ModeAUTH, outcomeRefused)
}

func TestPassWithoutPorts(t *testing.T) {
	d := newGateway(t, passTLS, func(_ *Settings, s *Service) { s.TLS.PassPorts = PortRange{} }).greeted()
	d.refused("AUTH TLS", "534 TLS could not carry data through the gateway (tls.pass_ports is not set)")
	d.wantCalls()
}

// CloseAll closes it like any other.
func TestCloseAllClosesPasses(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, passTLS).through(k, usual)
	if n := d.CloseAll(); n != 1 || d.firewall.open() != 0 {
		t.Errorf("%d pinholes were closed and %d are open, want 1 and none", n, d.firewall.open())
	}
	d.eventually("the session has let go of it", func() bool {
		return testutil.ToFloat64(d.Metrics.pinholes.WithLabelValues("files", "AUTH")) == 0
	})
	d.logIn() // the session goes on
}

// What stands in clear behind AUTH, or behind its 234, would count as said
// within TLS (CVE-2011-0411, both ways).
func TestInjectionIntoTLSThatPasses(t *testing.T) {
	for name, behind := range map[string]string{"a command": "DELE a\r\n", "part of one": "DEL"} {
		t.Run("by the client: "+name, func(t *testing.T) {
			d := newGateway(t, passTLS).greeted()
			d.client.write("AUTH TLS\r\n" + behind)
			d.server.want("AUTH TLS")
			d.reply(goOn)
			if behind == "DEL" {
				d.client.write("\x16\x03\x01\x00\x01x") // the gateway knows now that it was none of TLS
			}
			d.wantInjection()
		})
	}
	for name, behind := range map[string]string{"a reply": "230 logged in\r\n", "part of one": "23"} {
		t.Run("by the server: "+name, func(t *testing.T) {
			d := newGateway(t, passTLS).greeted()
			d.command("AUTH TLS")
			d.server.write(goOn + "\r\n" + behind)
			d.client.want(goOn)
			d.wantInjection() // and the client has read nothing of it
		})
	}
}

// What follows a 234 and is no TLS goes nowhere.
func TestNoTLSBehindAUTH(t *testing.T) {
	const record = "\x16\x03\x01\x00\x01x"
	client, server := func(d *dialogue) *peer { return d.client }, func(d *dialogue) *peer { return d.server }
	for name, tt := range map[string]struct {
		from, to     func(*dialogue) *peer
		said, passes string
	}{
		"a command":                 {client, server, "USER anna\r\n", ""},
		"a reply":                   {server, client, "230 logged in\r\n", ""},
		"SSL 2.0 behind a record":   {client, server, record + "\x16\x02\x00\x00\x01x", record + "\x16"},
		"a record that is too long": {client, server, "\x16\x03\x01\xff\xff", "\x16\x03\x01\xff"},
	} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t, passTLS).greeted()
			d.command("AUTH TLS")
			d.reply(goOn)
			tt.from(d).write(tt.said)
			_ = tt.to(d).SetReadDeadline(time.Now().Add(patience))
			if got, err := io.ReadAll(tt.to(d).r); string(got) != tt.passes || err != nil && !isReset(err) {
				t.Errorf("%q passes, %v; want %q", got, err, tt.passes)
			}
			d.client.wantGone()
			d.client.Close()
			if cause := d.wantEnded(violated)["cause"]; cause != errNotTLS.Error() {
				t.Errorf("cause %q", cause)
			}
		})
	}
}

// No word of the gateway's falls into TLS that passes: the client could make
// nothing of it, or something bad.
func TestNoWordFallsIntoTLS(t *testing.T) {
	for name, end := range map[string]struct {
		how outcome
		do  func(d *dialogue)
	}{
		"the server goes":   {serverClosed, func(d *dialogue) { d.server.Close() }},
		"the server resets": {broken, func(d *dialogue) { d.server.reset() }},
		"the daemon goes":   {drained, func(d *dialogue) { go d.Drain() }},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, passTLS).through(k, usual)
			d.logIn()
			d.client.clear() // to see the bytes as they are
			end.do(d)
			d.client.wantEnd()
			d.client.Close()
			d.wantEnded(end.how)
		})
	}
}
