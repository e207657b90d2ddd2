package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"testing"

	"ftpgate/internal/lab/pki"
)

// The client's TLS ends at the gateway: the server sees the commands in clear,
// and nothing of what TLS needed.
func TestTerminate(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		d := newGateway(t, k.terminate).overTLS(only(k.client()))
		d.command("CWD /home")
		d.reply("250-in two", "250 lines")
		d.wantShaken(clientControl, 1, 0)
		d.leave()
	})
}

// Private data resumes the TLS of the control connection, whoever dials.
func TestPrivateData(t *testing.T) {
	for name, set := range map[string]func(*dialogue) data{"passive ": (*dialogue).passiveData, "active ": (*dialogue).activeData} {
		everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
			k := newKeyring(t)
			config := only(k.client())
			d := newGateway(t, k.terminate).overTLS(config)
			for i, up := range []bool{true, false} {
				c := set(d)
				c.client.mustSecure(tls.Client, config)
				if !c.client.tls.ConnectionState().DidResume {
					t.Errorf("%s: the data connection has TLS of its own", name)
				}
				if up {
					d.command("STOR a")
					d.reply("150 go on")
					carry(t, c.client, c.server, "up with it")
				} else {
					d.command("RETR a")
					d.reply("150 here it comes")
					carry(t, c.server, c.client, "down with it")
				}
				d.reply("226 done")
				d.wantShaken(clientData, float64(i+1), 0)
			}
			d.wantNoRelays()
		})
	}
}

// PROT C again lets the kernel carry the data.
func TestClearDataUnderTLS(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate, onePort).overTLS(k.client())
	d.refused("PROT C", "200 Protection level set")
	d.passive()
	d.wantCalls("open " + passiveHole)
}

const notResumed = "522 The data connection must resume the TLS session of the control connection"

// wantDataRefused: a data connection with this TLS is turned down, on both sides.
func (d *dialogue) wantDataRefused(config *tls.Config) {
	d.t.Helper()
	c := d.passiveData()
	d.command("STOR a")
	d.reply("150 go on")
	if err := c.client.secure(tls.Client, config); err == nil { // the client may be done first
		c.client.wantAll("") // an end in order: a reset might keep it from reading why
	}
	c.server.wantAll("")
	c.client.Close()
	d.server.send("226 all of nothing")
	d.client.want(notResumed)
	d.wantShaken(clientData, 0, 1)
	d.wantNoRelays()
}

// Whoever dials a private data port gets nothing by it: only the client of the
// control connection can resume its TLS.
func TestStolenPrivateData(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		g := newGateway(t, k.terminate)
		t.Run("without a ticket", func(t *testing.T) {
			d := g.overTLS(only(k.client()))
			config := k.client()
			config.ClientSessionCache = nil
			d.wantDataRefused(only(config))
			d.leave()
		})
	})
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		g := newGateway(t, k.terminate)
		thief := only(k.client())
		g.overTLS(thief) // has a ticket, of this same gateway
		g.overTLS(only(k.client())).wantDataRefused(thief)
	})
}

func TestResumptionIsNotRequired(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.client())
		config.ClientSessionCache = nil
		newGateway(t, k.terminate, withoutResumption).overTLS(config).download(config)
	})
}

// TLS that stops without close_notify was cut off by somebody: the server's 226
// for what has arrived of it does not reach the client.
func TestTruncatedUpload(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.client())
		d := newGateway(t, k.terminate).overTLS(config)
		c := d.privateData(config)
		d.command("STOR a")
		d.reply("150 go on")
		c.client.write("half of i")
		if err := c.client.CloseWrite(); err != nil { // TCP's FIN alone
			t.Fatal(err)
		}
		c.server.wantReset()
		d.server.send("226 done")
		d.client.want("426 The data connection broke: the transfer is not complete")
		d.download(config) // the next one is none the worse
	})
}

// A 550 ends a data connection whose client has not begun its TLS, and may
// never do so: it is not waited for.
func TestRefusalEndsPrivateDataThatHasNotBegun(t *testing.T) {
	k := newKeyring(t)
	config := k.client()
	d := newGateway(t, k.terminate).overTLS(config)
	c := d.passiveData()
	d.command("RETR a")
	d.reply("550 no such file")
	c.client.wantReset()
	c.server.wantReset()
	d.wantNoRelays()
	d.download(config)
}

func TestImplicitTLS(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.client())
		d := newGateway(t, k.terminate, fromTheFirstByte).connect()
		d.client.mustSecure(tls.Client, config)
		d.reply("220 ready")
		d.logIn()
		d.download(config) // private without PBSZ and PROT
		d.leave()
	})
}

// The greeting may be there before the handshake: it waits.
func TestGreetingBeforeTheImplicitHandshake(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate, fromTheFirstByte).connect()
	d.server.send("220 ready")
	d.eventually("the gateway has read it", d.serverIsRead)
	d.client.mustSecure(tls.Client, k.client())
	d.client.want("220 ready")
	d.logIn()
}

// Who has no server learns it over TLS.
func TestImplicitTLSWithoutAServer(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, k.terminate, fromTheFirstByte)
	g.backend.Close()
	client := g.dial(clientAddr)
	client.mustSecure(tls.Client, k.client())
	client.want(cannotBeReached)
	client.wantEnd()
	client.Close()
	g.wantEnded(noBackend)
}

// What the client offers decides whether it means an FTP server (ALPACA,
// CVE-2021-3618).
func TestApplicationProtocols(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		for offered, want := range map[string]string{
			"": "", "ftp": "ftp", "ftp-data": "ftp-data", "h2 ftp": "ftp", "h2": "refused", "http/1.1": "refused", "imap": "refused",
		} {
			t.Run("offers "+offered, func(t *testing.T) {
				k := newKeyring(t)
				config := only(k.client())
				config.NextProtos = strings.Fields(offered)
				d := newGateway(t, k.terminate).greeted()
				if want != "refused" {
					d.authTLS(config)
					if got := d.client.tls.ConnectionState().NegotiatedProtocol; got != want {
						t.Errorf("agreed on %q, want %q", got, want)
					}
					d.logIn()
					return
				}
				d.refused("AUTH TLS", accepted)
				if err := d.wantTurnedDown(config); !strings.Contains(err.Error(), "no application protocol") {
					t.Errorf("the client is told: %v", err)
				}
				d.wantShaken(clientControl, 0, 1)
			})
		}
	})
}

// So does the server that it names (SNI).
func TestServerNames(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		g := newGateway(t, k.terminate)
		config := only(k.client())
		config.ServerName = "www.example.com"
		d := g.greeted()
		d.refused("AUTH TLS", accepted)
		if err := d.wantTurnedDown(config); !strings.Contains(err.Error(), "unrecognized name") {
			t.Errorf("the client is told: %v", err)
		}
		config = only(k.client())
		config.ServerName, config.InsecureSkipVerify = "", true // names none
		d = g.greeted()
		d.authTLS(config)
		d.logIn()
	})
}

// client_ca: the control connection needs a certificate that it signed.
func TestClientCertificates(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k, other := newKeyring(t), newKeyring(t)
		g := newGateway(t, k.terminate, func(_ *Settings, s *Service) { s.TLS.ClientCA = k.file(pki.CAFile) })
		for name, c := range map[string]*pki.Certificate{
			"none": nil, "of another authority": other.issue(pki.Request{Client: true}),
			"of a server": k.issue(pki.Request{}), "expired": k.issue(pki.Request{Client: true, Expired: true}),
		} {
			config := only(k.client())
			if c != nil {
				config.Certificates = []tls.Certificate{c.TLS()}
			}
			d := g.greeted()
			d.refused("AUTH TLS", accepted)
			if err := d.wantTurnedDown(config); err == nil {
				t.Errorf("%s: let in", name)
			}
		}
		config := only(k.client())
		config.Certificates = []tls.Certificate{k.issue(pki.Request{Client: true}).TLS()}
		g.overTLS(config).download(config)
	})
}

// Where data need not resume, it must show the certificate of its control connection.
func TestClientCertificateOfData(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		g := newGateway(t, k.terminate, withoutResumption, func(_ *Settings, s *Service) { s.TLS.ClientCA = k.file(pki.CAFile) })
		config := only(k.client())
		config.ClientSessionCache = nil
		config.Certificates = []tls.Certificate{k.issue(pki.Request{Client: true}).TLS()}
		d := g.overTLS(config)
		other := config.Clone()
		other.Certificates = []tls.Certificate{k.issue(pki.Request{Client: true}).TLS()}
		d.wantDataRefused(other)
		d.download(config)
	})
}

// The gateway shows the certificate of its file, chain and all.
func TestCertificateShown(t *testing.T) {
	k := newKeyring(t)
	want := k.renew(pki.Request{Names: []string{gatewayName}})
	d := newGateway(t, k.terminate).greeted()
	d.authTLS(k.client())
	if got := d.client.tls.ConnectionState().PeerCertificates; len(got) != 1 || !got[0].Equal(want.Leaf) {
		t.Errorf("%d certificates are shown, of which the first is not that of the file", len(got))
	}
	stranger := k.client()
	stranger.RootCAs = x509.NewCertPool()
	d = d.greeted()
	d.refused("AUTH TLS", accepted)
	if err := d.wantTurnedDown(stranger); !errors.As(err, new(x509.UnknownAuthorityError)) {
		t.Errorf("a client that does not trust the authority: %v", err)
	}
}
