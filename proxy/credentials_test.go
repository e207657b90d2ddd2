package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab/pki"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// rewrite replaces a file.
func rewrite(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Files that cannot be used are a reason not to start, named by their key.
func TestFilesThatCannotBeUsed(t *testing.T) {
	const notPEM = "this is not PEM\n"
	for name, tt := range map[string]struct {
		spoil func(k *keyring, s *Service)
		want  string
	}{
		"no certificate":         {func(k *keyring, _ *Service) { os.Remove(k.file(pki.CertFile)) }, "tls.certificate: open "},
		"no key":                 {func(k *keyring, _ *Service) { os.Remove(k.file(pki.KeyFile)) }, "tls.key: open "},
		"a folder":               {func(k *keyring, s *Service) { s.TLS.Certificate = k.dir }, "tls.certificate: read "},
		"certificate not PEM":    {func(k *keyring, _ *Service) { rewrite(t, k.file(pki.CertFile), notPEM) }, "tls.certificate and tls.key do not make a pair: "},
		"key not PEM":            {func(k *keyring, _ *Service) { rewrite(t, k.file(pki.KeyFile), notPEM) }, "tls.certificate and tls.key do not make a pair: "},
		"another's key":          {func(k *keyring, s *Service) { s.TLS.Key = newKeyring(t).file(pki.KeyFile) }, "tls.certificate and tls.key do not make a pair: "},
		"no key in the one file": {func(_ *keyring, s *Service) { s.TLS.Key = "" }, "tls.certificate and tls.key do not make a pair: "},
		"no client_ca":           {func(k *keyring, s *Service) { s.TLS.ClientCA = k.file("none") }, "tls.client_ca: open "},
		"client_ca not PEM":      {func(k *keyring, s *Service) { s.TLS.ClientCA = k.file(pki.KeyFile) }, "tls.client_ca: "},
		"no backend_tls.ca":      {func(k *keyring, s *Service) { s.BackendTLS.CA = k.file("none") }, "backend_tls.ca: open "},
		"no backend_tls.key": {func(k *keyring, s *Service) {
			s.BackendTLS.Certificate, s.BackendTLS.Key = k.file(pki.CertFile), k.file("none")
		}, "backend_tls.key: open "},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			g := newGateway(t)
			broken := g.changed(func(s *Service) {
				k.terminate(nil, s)
				k.backendTLS(BackendExplicit)(nil, s)
				tt.spoil(k, s)
			})
			err := g.Reload(broken)
			if err == nil || !strings.HasPrefix(err.Error(), "service files: "+tt.want) {
				t.Errorf("Reload: %v, want it to begin with %q", err, "service files: "+tt.want)
			}
			if _, _, err := CheckCredentials(broken.Services[0]); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("CheckCredentials: %v, want it to begin with %q", err, tt.want)
			}
			g.loggedIn().refused("AUTH TLS", `534 TLS is refused by the gateway (tls.mode = "refuse")`) // nothing has changed
		})
	}
}

// All that is wrong is said at once.
func TestBothSidesFilesAreChecked(t *testing.T) {
	s := Service{}
	k := newKeyring(t)
	k.terminate(nil, &s)
	k.backendTLS(BackendImplicit)(nil, &s)
	s.TLS.Key, s.BackendTLS.CA = k.file("none"), k.file("none")
	_, _, err := CheckCredentials(s)
	for _, want := range []string{"tls.key: ", "backend_tls.ca: "} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckCredentials: %v, want in it %q", err, want)
		}
	}
}

// Key and chain may be in one file.
func TestOneFile(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, k.terminate, func(_ *Settings, s *Service) { s.TLS.Certificate, s.TLS.Key = k.file(pki.BothFile), "" })
	g.overTLS(k.client())
}

// shown is the certificate that a new client sees.
func (g *gateway) shown(k *keyring) *x509.Certificate {
	g.t.Helper()
	d := g.greeted()
	d.authTLS(k.client())
	d.logIn() // what comes has been read when the client goes
	d.leave()
	return d.client.tls.ConnectionState().PeerCertificates[0]
}

// A certificate that was renewed in place is for new sessions. Those that there
// are go on with theirs, data and all.
func TestCertificateIsRenewed(t *testing.T) {
	everyVersion(t, func(t *testing.T, only func(*tls.Config) *tls.Config) {
		k := newKeyring(t)
		config := only(k.client())
		g := newGateway(t, k.terminate)
		d := g.overTLS(config)
		first := d.client.tls.ConnectionState().PeerCertificates[0]
		renewed := k.renew(pki.Request{Names: []string{gatewayName}}).Leaf
		if !g.shown(k).Equal(first) {
			t.Error("the new certificate is in use before anybody has looked at it")
		}
		g.refreshCredentials()
		if !g.shown(k).Equal(renewed) {
			t.Error("the new certificate is not in use")
		}
		d.download(config)
		if !strings.Contains(g.log.String(), "certificates were renewed") {
			t.Error("the log does not tell")
		}
	})
}

// The daemon looks by itself.
func TestRunRenewsCertificates(t *testing.T) {
	k := newKeyring(t)
	g := newGateway(t, k.terminate)
	svc := g.services["files"]
	before := svc.credentials.Load()
	renewed := k.renew(pki.Request{Names: []string{gatewayName}}).Leaf
	go func() { _ = g.Run(t.Context()) }()
	g.eventually("the files have been looked at", func() bool { return svc.credentials.Load() != before })
	if !g.shown(k).Equal(renewed) {
		t.Error("the new certificate is not in use")
	}
}

// Half-written or wrong, a renewal changes nothing, and is made up for.
func TestBrokenRenewal(t *testing.T) {
	for name, spoil := range map[string]func(k *keyring){
		"the key is another's": func(k *keyring) {
			text, err := os.ReadFile(newKeyring(t).file(pki.KeyFile))
			if err != nil {
				t.Fatal(err)
			}
			rewrite(t, k.file(pki.KeyFile), string(text))
		},
		"the certificate is empty": func(k *keyring) { rewrite(t, k.file(pki.CertFile), "") },
		"the file is gone":         func(k *keyring) { os.Remove(k.file(pki.KeyFile)) },
	} {
		t.Run(name, func(t *testing.T) {
			k := newKeyring(t)
			g := newGateway(t, k.terminate)
			first := g.shown(k)
			spoil(k)
			g.refreshCredentials()
			if !g.shown(k).Equal(first) {
				t.Error("another certificate is shown")
			}
			if !strings.Contains(g.log.String(), "a certificate cannot be read again") || !strings.Contains(g.log.String(), "tls.") {
				t.Errorf("the log does not say what is wrong:\n%s", g.log)
			}
			renewed := k.renew(pki.Request{Names: []string{gatewayName}}).Leaf
			g.refreshCredentials()
			if !g.shown(k).Equal(renewed) {
				t.Error("the renewal that came then is not in use")
			}
		})
	}
}

// What backends are trusted by is renewed as well.
func TestAuthorityOfBackendsIsRenewed(t *testing.T) {
	k, other := newKeyring(t), newKeyring(t)
	g := newGateway(t, k.backendTLS(BackendImplicit))
	d := g.connect()
	if d.server.secure(tls.Server, other.files()) == nil {
		d.server.wantRefusedTLS()
	}
	d.wantUntrusted("unknown authority")
	if err := other.ca.Write(k.dir); err != nil {
		t.Fatal(err)
	}
	g.refreshCredentials()
	g.connectOver(BackendImplicit, other.files()).logIn()
}

func (g *gateway) wantExpiry(want time.Time) {
	g.t.Helper()
	if got := testutil.ToFloat64(g.Metrics.certificate.WithLabelValues("files")); got != float64(want.Unix()) {
		g.t.Errorf("the certificate expires at %v, want %v", got, want.Unix())
	}
}

// The metric follows the file; the log has a word for a certificate that needs
// somebody's attention.
func TestExpiryIsTold(t *testing.T) {
	k := newKeyring(t) // good for a day
	g := newGateway(t, k.terminate)
	first, _, err := CheckCredentials(g.settings.Services[0])
	if err != nil {
		t.Fatal(err)
	}
	g.wantExpiry(first)
	if !strings.Contains(g.log.String(), "the certificate expires soon") {
		t.Errorf("no warning of a certificate that is good until %v", first)
	}
	late := k.renew(pki.Request{Names: []string{gatewayName}, Expired: true}).Leaf
	g.refreshCredentials()
	g.wantExpiry(late.NotAfter)
	if err := g.Reload(g.settings); err != nil { // a daemon begins with it all the same
		t.Fatal(err)
	}
	if !strings.Contains(g.log.String(), "the certificate has expired") {
		t.Error("no warning of a certificate that has expired")
	}
	d := g.greeted()
	d.refused("AUTH TLS", accepted)
	var invalid x509.CertificateInvalidError
	if err := d.wantTurnedDown(k.client()); !errors.As(err, &invalid) || invalid.Reason != x509.Expired {
		t.Errorf("the client makes of it: %v", err)
	}
	g.reload(func(s *Service) { s.TLS = TLS{} })
	if n := testutil.CollectAndCount(g.Metrics.certificate); n != 0 {
		t.Errorf("%d certificates are told of when there is none", n)
	}
}

// A service without files has nothing to renew.
func TestNothingToRenew(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) {
		s.BackendTLS = BackendTLS{Mode: BackendImplicit, InsecureSkipVerify: true}
	})
	before := g.services["files"].credentials.Load()
	g.refreshCredentials()
	if g.services["files"].credentials.Load() != before {
		t.Error("credentials were made of nothing")
	}
}
