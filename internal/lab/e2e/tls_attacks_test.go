package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
	"ftpgate/internal/lab/pki"
)

// stage is a gateway that ends TLS, between clients that trust it and a server
// that does what a test wants.
type stage struct {
	*gateway
	client *tls.Config
	files  *ftpd.Tree
}

// newStage starts a server and the gateway. backend is the mode of backend_tls;
// certificate, where not nil, is the server's in place of a good one.
func newStage(t *testing.T, l *lab.Lab, backend string, s *ftpd.Server, certificate func(*pki.Authority) (*pki.Certificate, error)) stage {
	t.Helper()
	inside, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	s.Files = ftpd.NewTree()
	s.TLS = serverTLS(t, inside, lab.ServerV4)
	if certificate != nil {
		bad, err := certificate(inside)
		if err != nil {
			t.Fatal(err)
		}
		s.TLS.Certificates = []tls.Certificate{bad.TLS()}
	}
	startSecureFTPD(t, l, s)
	c := certificates{inside: t.TempDir()}
	if err := inside.Write(c.inside); err != nil {
		t.Fatal(err)
	}
	outside, folder := labtest.PKI(t)
	c.outside = folder
	keys := ""
	if backend != "clear" {
		keys = fmt.Sprintf("backend_tls = { mode = %q, ca = %q }\n", backend, filepath.Join(c.inside, pki.CAFile))
	}
	g := prepareGateway(t, l, fmt.Sprintf("[[service]]\nname = \"files\"\nlisten = [%q]\nbackends = [\"10.0.0.5:21\"]\n", gateway4)+c.terminate()+keys)
	g.start()
	return stage{g, &tls.Config{RootCAs: outside.Pool(), ServerName: lab.WanV4.String()}, s.Files}
}

// greeted is a client that has said nothing yet.
func (s stage) greeted(n ftpc.Network) *ftpc.Client {
	s.t.Helper()
	c, err := ftpc.Dial(n, gateway4)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return c
}

// secured is a client with TLS, logged in, whose data is protected.
func (s stage) secured(n ftpc.Network) *ftpc.Client {
	s.t.Helper()
	c := s.greeted(n)
	if err := c.Auth(s.client, ""); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Protect(); err != nil {
		s.t.Fatal(err)
	}
	if err := c.Login(); err != nil {
		s.t.Fatal(err)
	}
	return c
}

// refused checks that the gateway has counted a refusal.
func (s stage) refused(reason string) {
	s.t.Helper()
	series := fmt.Sprintf(`ftpgate_refusals_total{reason=%q,service="files"}`, reason)
	eventually(s.t, series+" is 1", func() bool { return s.metric(series) == "1" })
}

// wants fails the test unless an error says something.
func wants(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, want %q", err, text)
	}
}

// CVE-2011-0411: what stands in clear behind AUTH is not taken for said in TLS.
func TestTLSInjectionByAClient(t *testing.T) {
	l := newLab(t)
	s := newStage(t, l, "clear", &ftpd.Server{}, nil)
	c := s.greeted(l.Client)
	if err := c.Auth(s.client, "USER demo\r\nPASS demo\r\nDELE /a\r\n"); err == nil {
		t.Error("TLS was made behind an injected command")
	}
	s.refused("injection")
}

// The same from the server's side, and servers that would have the gateway
// speak in clear: they are not spoken to.
func TestTLSBackendThatCannotBeTrusted(t *testing.T) {
	at := pki.Request{Addrs: []netip.Addr{lab.ServerV4}}
	for _, tt := range []struct {
		name, why   string
		quirks      ftpd.Quirks
		certificate func(*pki.Authority) (*pki.Certificate, error)
	}{
		{"injects behind its 234", "more in clear behind its answer to AUTH", ftpd.Quirks{BehindAUTH: "220 said in clear\r\n"}, nil},
		{"refuses AUTH", "AUTH TLS was answered", ftpd.Quirks{Says: map[string]string{"AUTH": "502 No."}}, nil},
		{"does not offer it", "AUTH TLS was answered", ftpd.Quirks{Says: map[string]string{"AUTH": "502 No.", "FEAT": "211 Nothing"}}, nil},
		{"refuses to protect data", "PROT P was answered", ftpd.Quirks{Says: map[string]string{"PROT": "536 Never."}}, nil},
		{"certificate for another address", "its certificate is for another name", ftpd.Quirks{}, func(ca *pki.Authority) (*pki.Certificate, error) {
			return ca.Issue(pki.Request{Addrs: []netip.Addr{lab.ClientV4}})
		}},
		{"self-signed", "unknown authority", ftpd.Quirks{}, func(*pki.Authority) (*pki.Certificate, error) { return pki.SelfSigned(at) }},
		{"expired", "has expired", ftpd.Quirks{}, func(ca *pki.Authority) (*pki.Certificate, error) {
			old := at
			old.Expired = true
			return ca.Issue(old)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			newStage(t, l, "explicit", &ftpd.Server{Quirks: tt.quirks}, tt.certificate)
			c, err := ftpc.Dial(l.Client, gateway4)
			if err == nil {
				c.Close()
			}
			wants(t, err, "421 ")
			wants(t, err, tt.why)
		})
	}
}

// Whoever steals a data connection from the client's own address gets nothing,
// and gives nothing.
func TestTLSDataTheft(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			l := newLab(t)
			s := newStage(t, l, "explicit", &ftpd.Server{RequireResumption: true}, nil)
			s.client.MaxVersion = version
			if err := s.files.Put("/secret", bytes.Repeat([]byte("secret"), 1000)); err != nil {
				t.Fatal(err)
			}
			c, thief := s.secured(l.Client), s.secured(l.Client)
			for name, config := range map[string]*tls.Config{"no session": s.client, "its own session": thief.Resuming()} {
				c.DataTLS = config
				got, err := c.Download(setUp(t, c, "PASV"), "RETR /secret")
				if len(got) > 0 {
					t.Errorf("a thief with %s got %d bytes", name, len(got))
				}
				wants(t, err, "522")
				wants(t, c.Upload(setUp(t, c, "PASV"), "STOR /planted", []byte("planted")), "522")
			}
			c.DataTLS = nil
			if err := c.Upload(setUp(t, c, "PASV"), "STOR /planted", []byte("in clear, whatever PROT P said\r\n")); err == nil {
				t.Error("data in clear passed for protected")
			}
			if got, err := s.files.Get("/planted"); err == nil && len(got) > 0 {
				t.Errorf("the server has %q", got)
			}
			c.DataTLS = c.Resuming()
			if got, err := c.Download(setUp(t, c, "PASV"), "RETR /secret"); err != nil || len(got) != 6000 {
				t.Errorf("the client itself: %d bytes, %v", len(got), err)
			}
		})
	}
}

// A transfer that somebody cuts short is never reported as complete, whichever
// way the data goes and whatever carries it behind the gateway.
func TestTLSTruncation(t *testing.T) {
	for _, backend := range []string{"clear", "explicit", "implicit"} {
		t.Run(backend, func(t *testing.T) {
			l := newLab(t)
			s := newStage(t, l, backend, &ftpd.Server{Implicit: backend == "implicit", Quirks: ftpd.Quirks{Truncate: 70_000}}, nil)
			c := s.secured(l.Client)
			c.Truncate = true
			for _, mode := range []string{"PASV", "PORT"} {
				wants(t, c.Upload(setUp(t, c, mode), "STOR /half", make([]byte, 100_000)), "426")
				if got, err := s.files.Get("/half"); err == nil {
					t.Errorf("%s: the server has stored %d bytes of a cut upload", mode, len(got))
				}
			}
			if backend == "clear" {
				return // without TLS nobody can tell where a download should have ended
			}
			if err := s.files.PutZeros("/zeros", 100_000); err != nil {
				t.Fatal(err)
			}
			for _, mode := range []string{"PASV", "PORT"} {
				got, err := c.Download(setUp(t, c, mode), "RETR /zeros")
				wants(t, err, "426")
				if len(got) > 70_000 {
					t.Errorf("%s: %d bytes of 70000 that the server sent", mode, len(got))
				}
			}
		})
	}
}

// ALPACA (CVE-2021-3618): a client that means another server, by protocol or by
// name, is not served.
func TestTLSForAnotherProtocol(t *testing.T) {
	l := newLab(t)
	s := newStage(t, l, "clear", &ftpd.Server{}, nil)
	for _, tt := range []struct {
		name      string
		protocols []string
		server    string
		ok        bool
	}{
		{"a browser", []string{"h2", "http/1.1"}, "", false},
		{"another name", nil, "www.example.com", false},
		{"our name", nil, "ftp.example.com", true},
		{"ftp", []string{"ftp"}, "", true},
		{"ftp among others", []string{"http/1.1", "ftp"}, "ftp.example.com", true},
	} {
		config := s.client.Clone()
		config.NextProtos = tt.protocols
		if tt.server != "" {
			config.ServerName, config.InsecureSkipVerify = tt.server, true // whether the gateway minds
		}
		if err := s.greeted(l.Client).Auth(config, ""); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want a handshake: %t", tt.name, err, tt.ok)
		}
	}
}
