package proxy

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab/pki"
)

// backendTLS makes a service dial its backends with TLS.
func (k *keyring) backendTLS(mode BackendTLSMode) func(*Settings, *Service) {
	return func(_ *Settings, s *Service) {
		s.BackendTLS = BackendTLS{Mode: mode, CA: k.file(pki.CAFile), ServerName: backendName, MinVersion: tls.VersionTLS12}
	}
}

// server is a backend's TLS.
func (k *keyring) server(c *pki.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.TLS()}}
}

func (k *keyring) files() *tls.Config {
	return k.server(k.issue(pki.Request{Names: []string{backendName}}))
}

// takeAUTH is the server's part when a gateway begins TLS in the explicit way.
func (p *peer) takeAUTH(config *tls.Config) {
	p.t.Helper()
	p.want("AUTH TLS")
	p.send("234 go on")
	p.mustSecure(tls.Server, config)
	p.takePROT()
}

// takePROT is what follows, and what begins implicit TLS.
func (p *peer) takePROT() {
	p.t.Helper()
	p.want("PBSZ 0")
	p.send("200 ok")
	p.want("PROT P")
	p.send("200 ok")
}

// connectOver begins a session with a server that has TLS and greets.
func (g *gateway) connectOver(mode BackendTLSMode, config *tls.Config) *dialogue {
	g.t.Helper()
	d := g.connect()
	if mode == BackendImplicit {
		d.server.mustSecure(tls.Server, config)
		d.server.send("220 ready")
		d.server.takePROT()
	} else {
		d.server.send("220 ready")
		d.server.takeAUTH(config)
	}
	d.client.want("220 ready")
	return d
}

// everyMode runs a test with the ways in which TLS begins with a backend, in both versions.
func everyMode(t *testing.T, f func(t *testing.T, mode BackendTLSMode, only func(*tls.Config) *tls.Config)) {
	for _, mode := range []BackendTLSMode{BackendExplicit, BackendImplicit} {
		t.Run(string(mode), func(t *testing.T) {
			everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) { f(t, mode, only) })
		})
	}
}

// overBackendTLS transfers a file over a data connection to the server, which
// must resume the TLS of the control connection: servers insist on it.
func (d *dialogue) overBackendTLS(config *tls.Config) {
	d.t.Helper()
	for _, set := range []func(*dialogue) data{(*dialogue).passiveData, (*dialogue).activeData} {
		c := set(d)
		c.server.mustSecure(tls.Server, config)
		if !c.server.tls.ConnectionState().DidResume {
			d.t.Error("the data connection has TLS of its own")
		}
		d.command("STOR a")
		d.reply("150 go on")
		carry(d.t, c.client, c.server, "up with it")
		d.reply("226 done")
	}
}

// The client speaks in clear, the gateway does not: neither with commands nor
// with data, in either mode.
func TestBackendTLS(t *testing.T) {
	everyMode(t, func(t *testing.T, mode BackendTLSMode, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.files())
		d := newGateway(t, k.backendTLS(mode)).connectOver(mode, config)
		d.logIn()
		d.overBackendTLS(config)
		d.wantShaken(backendControl, 1, 0)
		d.wantShaken(backendData, 2, 0)
		d.leave()
	})
}

// The client's TLS is one thing, the server's another.
func TestTLSOnBothSides(t *testing.T) {
	everyMode(t, func(t *testing.T, mode BackendTLSMode, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		server, client := k.files(), only(k.client())
		d := newGateway(t, k.terminate, k.backendTLS(mode)).connectOver(mode, server)
		d.authTLS(client)
		d.logIn()
		d.protect()
		c := d.passiveData()
		done := make(chan error, 1)
		go func() { done <- c.client.secure(tls.Client, client) }()
		c.server.mustSecure(tls.Server, server)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		d.command("RETR a")
		d.reply("150 here it comes")
		carry(t, c.server, c.client, "down with it")
		d.reply("226 done")
	})
}

// Without server_name the certificate must be for the address.
func TestBackendCertificateForItsAddress(t *testing.T) {
	k := newKeyring(t)
	config := k.server(k.issue(pki.Request{Addrs: []netip.Addr{netip.MustParseAddr(backendAddr)}}))
	g := newGateway(t, k.backendTLS(BackendExplicit), func(_ *Settings, s *Service) { s.BackendTLS.ServerName = "" })
	g.connectOver(BackendExplicit, config).logIn()
}

func TestBackendIsNotVerified(t *testing.T) {
	k := newKeyring(t)
	c, err := pki.SelfSigned(pki.Request{})
	if err != nil {
		t.Fatal(err)
	}
	g := newGateway(t, k.backendTLS(BackendImplicit), func(_ *Settings, s *Service) { s.BackendTLS.InsecureSkipVerify = true })
	g.connectOver(BackendImplicit, k.server(c)).logIn()
}

// A backend may want to know who dials it.
func TestCertificateForTheBackend(t *testing.T) {
	k := newKeyring(t)
	mine := k.renew(pki.Request{Client: true})
	config := k.files()
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, k.ca.Pool()
	d := newGateway(t, k.backendTLS(BackendExplicit), func(_ *Settings, s *Service) {
		s.BackendTLS.Certificate = k.file(pki.BothFile) // the key too
	}).connectOver(BackendExplicit, config)
	if shown := d.server.tls.ConnectionState().PeerCertificates; len(shown) != 1 || !shown[0].Equal(mine.Leaf) {
		t.Errorf("the server sees %d certificates, of which the first is not ours", len(shown))
	}
}

const untrusted = "421 The gateway has no trustworthy TLS with the FTP server: "

// wantUntrusted: the client learns that there is no server, and why.
func (d *dialogue) wantUntrusted(why string) {
	d.t.Helper()
	if got := d.client.line(); !strings.HasPrefix(got, untrusted) || !strings.Contains(got, why) {
		d.t.Errorf("the client reads %q, want %q and in it %q", got, untrusted, why)
	}
	d.client.wantEnd()
	d.client.Close()
	if why == "for another name" { // that is all that goes outside
		why = "not " + backendName
	}
	if cause, _ := d.wantEnded(noBackend)["cause"].(string); !strings.Contains(cause, why) {
		d.t.Errorf("cause %q, want in it %q", cause, why)
	}
	d.wantBackendUp(d.Settings().Services[0].Backends[0], 0)
}

// A backend that is not whom it should be is not talked to.
func TestBackendThatCannotBeTrusted(t *testing.T) {
	everyMode(t, func(t *testing.T, mode BackendTLSMode, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		self, err := pki.SelfSigned(pki.Request{Names: []string{backendName}})
		if err != nil {
			t.Fatal(err)
		}
		for why, c := range map[string]*pki.Certificate{
			"signed by unknown authority": self, "for another name": k.issue(pki.Request{Names: []string{"other.internal"}}),
			"expired": k.issue(pki.Request{Names: []string{backendName}, Expired: true}), "incompatible key usage": k.issue(pki.Request{Names: []string{backendName}, Client: true}),
		} {
			d := newGateway(t, k.backendTLS(mode)).connect()
			if mode == BackendExplicit {
				d.server.send("220 ready")
				d.server.want("AUTH TLS")
				d.server.send("234 go on")
			}
			if d.server.secure(tls.Server, only(k.server(c))) == nil {
				d.server.wantRefusedTLS()
			}
			d.wantUntrusted(why)
			d.wantShaken(backendControl, 0, 1)
		}
	})
}

// wantRefusedTLS: the other side has a word against the certificate (TLS 1.3
// lets a server be done before its client).
func (p *peer) wantRefusedTLS() {
	p.t.Helper()
	if _, err := p.r.ReadByte(); err == nil || !strings.Contains(err.Error(), "remote error") {
		p.t.Errorf("%s reads %v, want an alert", p.name, err)
	}
}

func TestBackendWithAnOldVersion(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.backendTLS(BackendImplicit), func(_ *Settings, s *Service) { s.BackendTLS.MinVersion = tls.VersionTLS13 }).connect()
	config := k.files()
	config.MaxVersion = tls.VersionTLS12
	if err := d.server.secure(tls.Server, config); err == nil {
		t.Error("TLS 1.2 is taken")
	}
	d.wantUntrusted("protocol version")
}

// Somebody between gateway and backend who takes AUTH away gets no password
// for it (a downgrade), nor does a backend that has no TLS.
func TestBackendRefusesTLS(t *testing.T) {
	for name, tt := range map[string]struct{ asked, answer, why string }{
		"AUTH is unknown":       {"AUTH TLS", "500 what?\r\n", "500 what?"},
		"AUTH is refused":       {"AUTH TLS", "534-no\r\n534 never\r\n", "534-no"},
		"a 2yz that is no 234":  {"AUTH TLS", "200 fine\r\n", "200 fine"},
		"injected behind a 234": {"AUTH TLS", "234 go on\r\n230 logged in\r\n", "more in clear"},
		"part of a line":        {"AUTH TLS", "234 go on\r\n23", "more in clear"},
		"no TLS behind its 234": {"AUTH TLS", "234 go on\r\n", ""},
		"a control character":   {"AUTH TLS", "500 \x1b[31m\r\n", `\x1b[31m`},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
			d.server.send("220 ready")
			d.server.want(tt.asked)
			d.server.write(tt.answer)
			if tt.why == "" {
				d.server.write("220 not a record of TLS\r\n")
			}
			d.wantUntrusted(tt.why)
		})
	}
	for asked, answers := range map[string][]string{"PBSZ 0": {"500 no"}, "PROT P": {"200 ok", "536 no"}} {
		t.Run(asked, func(t *testing.T) {
			k := newKeyring(t)
			d := newGateway(t, k.backendTLS(BackendExplicit)).connect()
			d.server.send("220 ready")
			d.server.want("AUTH TLS")
			d.server.send("234 go on")
			d.server.mustSecure(tls.Server, k.files())
			for _, answer := range answers {
				d.server.line()
				d.server.send(answer)
			}
			d.wantUntrusted(asked + " was answered")
		})
	}
}

// A server that speaks in clear where TLS should be.
func TestImplicitBackendInClear(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.backendTLS(BackendImplicit)).connect()
	d.server.send("220 ready")
	d.wantUntrusted("does not look like a TLS handshake")
}
