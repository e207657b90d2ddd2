package proxy

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/internal/lab/pki"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Names in certificates.
const (
	gatewayName = "ftp.example.com"
	backendName = "files.internal"
)

// keyring is an authority that all trust, and the gateway's files.
type keyring struct {
	t   testing.TB
	ca  *pki.Authority
	dir string
}

func newKeyring(t testing.TB) *keyring {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	k := &keyring{t, ca, t.TempDir()}
	if err := ca.Write(k.dir); err != nil {
		t.Fatal(err)
	}
	k.renew(pki.Request{Names: []string{gatewayName}})
	return k
}

func (k *keyring) issue(r pki.Request) *pki.Certificate {
	k.t.Helper()
	c, err := k.ca.Issue(r)
	if err != nil {
		k.t.Fatal(err)
	}
	return c
}

// renew replaces the gateway's certificate where it lies.
func (k *keyring) renew(r pki.Request) *pki.Certificate {
	k.t.Helper()
	c := k.issue(r)
	if err := c.Write(k.dir); err != nil {
		k.t.Fatal(err)
	}
	return c
}

func (k *keyring) file(name string) string { return filepath.Join(k.dir, name) }

// terminate makes a service end the TLS of its clients.
func (k *keyring) terminate(_ *Settings, s *Service) {
	s.TLS = TLS{
		Mode: alg.TerminateTLS, Certificate: k.file(pki.CertFile), Key: k.file(pki.KeyFile),
		MinVersion: tls.VersionTLS12, RequireResumption: true,
	}
}

func fromTheFirstByte(_ *Settings, s *Service) { s.TLS.Implicit = true }

func withoutResumption(_ *Settings, s *Service) { s.TLS.RequireResumption = false }

// client is the TLS of a client that resumes.
func (k *keyring) client() *tls.Config {
	return &tls.Config{RootCAs: k.ca.Pool(), ServerName: gatewayName, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
}

// everyVersion runs a test with each version of TLS that there is.
func everyVersion(t *testing.T, f func(t *testing.T, only func(*tls.Config) *tls.Config)) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			f(t, func(c *tls.Config) *tls.Config {
				c.MinVersion, c.MaxVersion = version, version
				return c
			})
		})
	}
}

// corked is a connection whose writes can be kept back, to send what belongs
// apart in one segment. It reads as TLS must if something clear may follow.
type corked struct {
	*records
	kept []byte
	keep bool
}

func (c *corked) Write(b []byte) (int, error) {
	if c.keep {
		c.kept = append(c.kept, b...)
		return len(b), nil
	}
	return c.records.Write(b)
}

// The sides of TLS.
type side func(net.Conn, *tls.Config) *tls.Conn

// secure puts TLS on the peer's connection.
func (p *peer) secure(as side, config *tls.Config) error {
	p.t.Helper()
	p.wire = &corked{records: &records{Conn: p.TCPConn, ending: new(atomic.Bool)}}
	conn := as(p.wire, config)
	_ = p.SetDeadline(time.Now().Add(patience))
	if err := conn.Handshake(); err != nil {
		return err
	}
	p.tls, p.w, p.r = conn, conn, bufio.NewReader(conn)
	return nil
}

func (p *peer) mustSecure(as side, config *tls.Config) {
	p.t.Helper()
	if err := p.secure(as, config); err != nil {
		p.t.Fatalf("%s has no TLS: %v", p.name, err)
	}
}

// unseal goes on in clear when both sides have said close_notify.
func (p *peer) unseal() {
	p.t.Helper()
	p.wantEnd()
	if err := p.tls.CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
	p.clear()
}

func (p *peer) clear() { p.tls, p.w, p.r = nil, p.TCPConn, bufio.NewReader(p.TCPConn) }

// authTLS is AUTH TLS and the handshake behind it.
func (d *dialogue) authTLS(config *tls.Config) {
	d.t.Helper()
	d.refused("AUTH TLS", accepted)
	d.client.mustSecure(tls.Client, config)
}

const accepted = "234 AUTH accepted: the TLS handshake comes next"

// protect makes data connections private.
func (d *dialogue) protect() {
	d.t.Helper()
	d.refused("PBSZ 0", "200 PBSZ=0")
	d.refused("PROT P", "200 Protection level set")
}

// overTLS begins a session whose client has logged in over TLS and wants its data private.
func (g *gateway) overTLS(config *tls.Config) *dialogue {
	g.t.Helper()
	d := g.greeted()
	d.authTLS(config)
	d.logIn()
	d.protect()
	return d
}

// privateData makes a passive data connection, with TLS on the client's side.
func (d *dialogue) privateData(config *tls.Config) data {
	d.t.Helper()
	c := d.passiveData()
	c.client.mustSecure(tls.Client, config)
	return c
}

// download is a whole transfer in private.
func (d *dialogue) download(config *tls.Config) {
	d.t.Helper()
	c := d.privateData(config)
	d.command("RETR a")
	d.reply("150 here it comes")
	carry(d.t, c.server, c.client, "down with it")
	d.reply("226 done")
}

// wantShaken compares how many handshakes of a connection there were.
func (g *gateway) wantShaken(c connection, done, failed float64) {
	g.t.Helper()
	g.eventually("the handshakes are counted", func() bool {
		return g.shaken(c, "done") == done && g.shaken(c, "failed") == failed
	})
}

func (g *gateway) shaken(c connection, result string) float64 {
	return testutil.ToFloat64(g.Metrics.handshakes.WithLabelValues("files", string(c), result))
}

// wantTurnedDown: the handshake fails, on the client's side or just behind it,
// and the session ends.
func (d *dialogue) wantTurnedDown(config *tls.Config) (why error) {
	d.t.Helper()
	if why = d.client.secure(tls.Client, config); why == nil {
		_, why = io.Copy(io.Discard, d.client.r) // TLS 1.3: the client is done first
	}
	if why == nil {
		d.t.Error("the client's TLS ends in order")
	}
	d.client.Close()
	d.server.wantGone()
	d.wantEnded(noHandshake)
	return why
}

// wantInjection waits for the end of a session in which something stood where it must not.
func (d *dialogue) wantInjection() {
	d.t.Helper()
	d.client.wantGone()
	d.client.Close()
	d.server.wantGone() // and has read nothing of it
	d.wantEnded(violated)
	if n := testutil.ToFloat64(d.Metrics.refusals.WithLabelValues("files", alg.Injection.String())); n != 1 {
		d.t.Errorf("%v injections are counted, want 1", n)
	}
}
