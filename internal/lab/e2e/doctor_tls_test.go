package e2e

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/pki"
)

// certified is a configuration of TLS with a certificate for the server, and the
// folder with it and its authority.
func certified(t *testing.T, r pki.Request) (config *tls.Config, dir string) {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	if err := errors.Join(ca.Write(dir), c.Write(dir)); err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c.TLS()}}, dir
}

// Backends whose TLS is not as it is asked for.
func TestDoctorBackendTLS(t *testing.T) {
	good := pki.Request{Addrs: []netip.Addr{lab.ServerV4}}
	right, dir := certified(t, good)
	late, lateDir := certified(t, pki.Request{Addrs: []netip.Addr{lab.ServerV4}, Expired: true})
	other, otherDir := certified(t, pki.Request{Addrs: []netip.Addr{lab.WanV4}})
	tests := map[string]struct {
		tls, mended *tls.Config
		keys, after string
		want        string
	}{
		"has none":               {nil, right, explicit(dir), explicit(dir), "refuses TLS"},
		"has expired":            {late, right, explicit(lateDir), explicit(dir), "expired"},
		"is another's":           {other, right, explicit(otherDir), explicit(dir), "certificate is valid for 198.51.100.1"},
		"has signed it itself":   {right, right, `backend_tls.mode = "explicit"`, explicit(dir), "unknown authority"},
		"has a mistyped name":    {right, right, explicit(dir) + `backend_tls.server_name = "ftp.example.com"`, explicit(dir), "ftp.example.com"},
		"has an authority amiss": {right, right, explicit("/nowhere"), explicit(dir), "backend_tls.ca"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := healthy(t, one(test.keys))
			stop := serveFTP(t, p.lab, &ftpd.Server{TLS: test.tls})
			p.found("backend", "error", test.want)
			stop()
			serveFTP(t, p.lab, &ftpd.Server{TLS: test.mended})
			p.configure(one(test.after))
			p.gone("backend")
		})
	}
	t.Run("implicit", func(t *testing.T) {
		p := healthy(t, one(explicit(dir)))
		serveFTP(t, p.lab, &ftpd.Server{TLS: right, Implicit: true})
		p.found("backend", "error", "does not greet")
		p.configure(one(strings.Replace(explicit(dir), "explicit", "implicit", 1)))
		p.gone("backend")
	})
}

func explicit(dir string) string {
	return fmt.Sprintf("backend_tls.mode = \"explicit\"\nbackend_tls.ca = %q\n", filepath.Join(dir, pki.CAFile))
}

// TLS that clients could have, and are refused.
func TestDoctorBackendAuth(t *testing.T) {
	config, _ := certified(t, pki.Request{Addrs: []netip.Addr{lab.ServerV4}})
	p := healthy(t, one(""))
	serveFTP(t, p.lab, &ftpd.Server{TLS: config})
	p.found("backend_auth", "warning", "10.0.0.5:21 offers TLS")
	p.configure(strings.Replace(one(""), `"refuse"`, `"pass"`, 1)) // as it says
	p.gone("backend_auth")
	p.configure(strings.Replace(one(fmt.Sprintf("tls.certificate = %q", longLived(t, lab.WanV4))), `"refuse"`, `"terminate"`, 1))
	p.gone("backend_auth")
}

// TLS that passes by: two things to know.
func TestDoctorTLSPass(t *testing.T) {
	pass := strings.Replace(one("tls.pass_ports = \"10000-10099\""), `"refuse"`, `"pass"`, 1)
	p := healthy(t, pass)
	serveFTP(t, p.lab, &ftpd.Server{})
	list := of(p.examine(), "tls_pass")
	if len(list) != 2 || !strings.Contains(list[0].Why, "the server itself must announce the address") || !strings.Contains(list[1].Seen, "active mode, which cannot work") {
		t.Fatalf("%+v", list)
	}
	p.configure(strings.Replace(pass, "tls.pass_ports", "modes = [\"passive\"]\ntls.pass_ports", 1)) // as it says
	p.found("tls_pass", "notice", "cannot change the address")
	p.configure(one(""))
	p.gone("tls_pass")
}

// Certificates that clients see.
func TestDoctorCertificate(t *testing.T) {
	_, soon := certified(t, pki.Request{Addrs: []netip.Addr{lab.WanV4}}) // a day
	_, late := certified(t, pki.Request{Addrs: []netip.Addr{lab.WanV4}, Expired: true})
	_, nameless := certified(t, pki.Request{})
	good := longLived(t, lab.WanV4)
	for name, test := range map[string]struct{ file, severity, want string }{
		"has expired":  {filepath.Join(late, pki.BothFile), "error", "has expired on "},
		"expires soon": {filepath.Join(soon, pki.BothFile), "warning", "expires on "},
		"has no name":  {filepath.Join(nameless, pki.BothFile), "warning", "names no host"},
		"has no key":   {filepath.Join(soon, pki.CertFile), "error", "tls.certificate"},
		"is not there": {"/nowhere/cert.pem", "error", "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "cert.pem")
			if b, err := os.ReadFile(test.file); err == nil {
				if err := os.WriteFile(file, b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			p := healthy(t, strings.Replace(one(fmt.Sprintf("tls.certificate = %q", file)), `"refuse"`, `"terminate"`, 1))
			serveFTP(t, p.lab, &ftpd.Server{})
			p.found("certificate", test.severity, test.want)
			b, err := os.ReadFile(good)
			if err == nil {
				err = os.WriteFile(file, b, 0o600) // renewed
			}
			if err != nil {
				t.Fatal(err)
			}
			p.gone("certificate")
		})
	}
}

// longLived is the file of a certificate that will do for a month.
func longLived(t *testing.T, a netip.Addr) string {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
		IPAddresses: []net.IP{a.AsSlice()},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	file := filepath.Join(t.TempDir(), "long.pem")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
