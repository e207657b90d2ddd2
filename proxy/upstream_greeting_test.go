package proxy

import (
	"crypto/tls"
	"net/netip"
	"testing"
	"time"

	"ftpgate/internal/lab/pki"
)

// What a server says before TLS is what the client gets to read.
func TestGreetingBeforeAUTH(t *testing.T) {
	for name, greeting := range map[string][]string{
		"several lines": {"220-welcome", " to the server", "220 ready"},
		"120 first":     {"120 in a minute", "220 ready"},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
			d.server.send(greeting...)
			d.server.takeAUTH(k.files())
			d.client.want(greeting...)
			d.logIn()
		})
	}
}

// A server that is full has said why. It is there all the same.
func TestExplicitBackendIsFull(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
	d.server.send("421-too many users:", "421 come back later")
	d.client.want("421-too many users:", "421 come back later")
	d.client.wantEnd()
	d.client.Close()
	d.server.wantGone()
	d.wantEnded(violated)
	d.wantBackendUp(d.Settings().Services[0].Backends[0], 1)
}

// Segments mean nothing.
func TestExplicitBackendTrickles(t *testing.T) {
	k := newKeyring(t)
	config := k.files()
	d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
	trickle := func(text string) {
		for i := range text {
			d.server.write(text[i : i+1])
		}
	}
	trickle("220-welcome\r\n220 ready\r\n")
	d.server.want("AUTH TLS")
	trickle("234 go on\r\n")
	d.server.mustSecure(tls.Server, config)
	d.server.want("PBSZ 0")
	trickle("200-fine\r\n200 ok\r\n")
	d.server.want("PROT P")
	trickle("200 ok\r\n")
	d.client.want("220-welcome", "220 ready")
	d.logIn()
	d.overBackendTLS(config)
}

// What has no end, or is no FTP, is given up.
func TestExplicitBackendThatIsNone(t *testing.T) {
	for name, said := range map[string]string{
		"nothing": "", "part of a greeting": "220-wel", "another protocol": "SSH-2.0-OpenSSH_9.2\r\n", "short": "22\r\n", "no code": "hello there\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, k.backendTLS(BackendExplicit), func(_ *Settings, s *Service) { s.Timeouts.Greeting = short }).connect()
			d.server.write(said)
			d.client.want(cannotBeReached)
			d.client.wantEnd()
			d.client.Close()
			d.server.wantGone()
			d.wantEnded(noBackend)
		})
	}
	for name, end := range map[string]func(*peer){"it hangs up": func(p *peer) { p.Close() }, "it resets": (*peer).reset} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
			end(d.server)
			d.client.want(cannotBeReached)
			d.client.Close()
			d.wantEnded(noBackend)
		})
	}
}

// A greeting without end costs no memory.
func TestExplicitBackendGreetsForEver(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
	for {
		_ = d.server.SetWriteDeadline(time.Now().Add(patience))
		if _, err := d.server.Write([]byte("220-and another thing\r\n")); err != nil {
			break
		}
	}
	d.client.want(cannotBeReached)
	d.client.Close()
	d.wantEnded(noBackend)
}

// REIN ends the server's TLS too (RFC 4217 §13). The next login is not said in clear.
func TestREINRenewsTheBackendsTLS(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.files())
		d := newGateway(t, k.backendTLS(BackendExplicit)).connectOver(BackendExplicit, config)
		d.logIn()
		d.command("REIN")
		d.reply("220 anew")
		d.client.send("USER bert") // waits
		d.server.unseal()
		d.server.takeAUTH(config)
		d.server.want("USER bert")
		d.reply("331 password")
		d.command("PASS s3cret")
		d.reply("230 logged in")
		d.overBackendTLS(config)
		d.wantShaken(backendControl, 2, 0)
	})
}

func TestREINOfABackendWithImplicitTLS(t *testing.T) {
	k := newKeyring(t)
	config := k.files()
	d := newGateway(t, k.backendTLS(BackendImplicit)).connectOver(BackendImplicit, config)
	d.logIn()
	d.command("REIN")
	d.reply("220 anew")
	d.server.takePROT()
	d.logIn()
	d.overBackendTLS(config)
}

// A server that goes on without TLS then is left.
func TestREINOfABackendThatHasNoTLSThen(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.backendTLS(BackendExplicit)).connectOver(BackendExplicit, k.files())
	d.logIn()
	d.command("REIN")
	d.reply("220 anew")
	d.server.unseal()
	d.server.want("AUTH TLS")
	d.server.send("500 no more")
	d.client.want(untrusted + `AUTH TLS was answered "500 no more"`)
	d.client.wantEnd()
	d.client.Close()
	d.server.wantGone()
	d.wantEnded(noBackend)
}

// One that cannot be trusted is passed over, and the next one asked.
func TestNextBackendIsTrusted(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, k.backendTLS(BackendImplicit))
	second := listenTCP(t, "127.0.0.6:0")
	g.reload(func(s *Service) { s.Backends = append([]netip.AddrPort{}, s.Backends[0], addrPort(second.Addr())) })
	client := g.dial(clientAddr)
	first := g.accept()
	if first.secure(tls.Server, k.server(k.issue(pki.Request{Names: []string{"other.internal"}}))) == nil {
		first.wantRefusedTLS()
	}
	d := &dialogue{g, client, acceptFrom(t, second)}
	d.server.mustSecure(tls.Server, k.files())
	d.server.send("220 ready")
	d.server.takePROT()
	d.client.want("220 ready")
	d.logIn()
	g.wantBackendUp(g.settings.Services[0].Backends[0], 0)
	g.wantBackendUp(g.settings.Services[0].Backends[1], 1)
}

// Data that goes to somebody else than the control connection is as untrue as none.
func TestBackendDataThatCannotBeTrusted(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.files())
		d := newGateway(t, k.backendTLS(BackendExplicit)).connectOver(BackendExplicit, config)
		d.logIn()
		c := d.passiveData()
		d.command("RETR a")
		d.reply("150 here it comes")
		if c.server.secure(tls.Server, only(k.server(k.issue(pki.Request{Names: []string{"other.internal"}})))) == nil {
			c.server.wantRefusedTLS()
		}
		c.client.wantReset()
		d.server.send("226 done")
		d.client.want("426 The data connection broke: the transfer is not complete")
		d.wantShaken(backendData, 0, 1)
		d.overBackendTLS(config)
	})
}

// A handshake that breaks, as with each 550, does not cost the next one its
// ticket: servers would refuse it.
func TestTicketOutlivesABrokenHandshake(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.files())
		d := newGateway(t, k.backendTLS(BackendExplicit)).connectOver(BackendExplicit, config)
		d.logIn()
		c := d.passiveData()
		d.command("RETR a")
		d.reply("550 no such file")
		c.server.Close()
		c.client.wantReset()
		d.wantNoRelays()
		d.overBackendTLS(config)
	})
}
