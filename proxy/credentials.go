package proxy

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"ftpgate/alg"
)

// credentials are the TLS configurations of a service, made of files. They are
// replaced as a whole when a file changes; sessions keep those they began with.
type credentials struct {
	client  *tls.Config         // towards clients; nil: TLS is not terminated
	backend *tls.Config         // towards backends; nil: they are dialled in clear
	expires time.Time           // when the certificate that clients see does; zero: there is none
	files   [][sha256.Size]byte // sums of what it was made of
}

// Names of TLS's application protocols (RFC 7301). A client that offers others
// alone believes to be talking to another kind of server (ALPACA, CVE-2021-3618).
var protocols = []string{"ftp", "ftp-data"}

// loadCredentials reads the files that a service names. Each error names the key.
func loadCredentials(s *Service) (*credentials, error) {
	c := &credentials{}
	errs := []error{}
	if s.TLS.Mode == alg.TerminateTLS {
		errs = append(errs, c.loadClient(&s.TLS))
	}
	if s.BackendTLS.Mode != BackendClear && s.BackendTLS.Mode != "" {
		errs = append(errs, c.loadBackend(&s.BackendTLS))
	}
	return c, errors.Join(errs...)
}

// CheckCredentials reads the files that a service names: errors, as Reload
// would have them, when the certificate that clients see expires, and whether
// it names no host: today's clients do not look for one in its subject.
func CheckCredentials(s Service) (expires time.Time, nameless bool, err error) {
	c, err := loadCredentials(&s)
	if c.client != nil {
		leaf := c.client.Certificates[0].Leaf
		nameless = len(leaf.DNSNames)+len(leaf.IPAddresses) == 0
	}
	return c.expires, nameless, err
}

func (c *credentials) loadClient(t *TLS) error {
	certificate, err := c.pair(t.Certificate, t.Key, "tls.certificate", "tls.key")
	if err != nil {
		return err
	}
	leaf := certificate.Leaf
	c.expires = leaf.NotAfter
	config := &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: t.MinVersion, NextProtos: protocols,
		DynamicRecordSizingDisabled: true, // data is bulk, and commands are one small record
	}
	if t.ClientCA != "" {
		config.ClientAuth = tls.RequireAndVerifyClientCert
		if config.ClientCAs, err = c.pool(t.ClientCA, "tls.client_ca"); err != nil {
			return err
		}
	}
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if hello.ServerName != "" && len(leaf.DNSNames) > 0 && leaf.VerifyHostname(hello.ServerName) != nil {
			return &tls.Config{MinVersion: t.MinVersion}, nil // without a certificate: alert unrecognized_name
		}
		return nil, nil
	}
	c.client = config
	return nil
}

func (c *credentials) loadBackend(t *BackendTLS) error {
	config := &tls.Config{
		ServerName: t.ServerName, MinVersion: t.MinVersion, InsecureSkipVerify: t.InsecureSkipVerify,
		DynamicRecordSizingDisabled: true,
	}
	var err error
	if t.CA != "" {
		if config.RootCAs, err = c.pool(t.CA, "backend_tls.ca"); err != nil {
			return err
		}
	}
	if t.Certificate != "" {
		certificate, err := c.pair(t.Certificate, t.Key, "backend_tls.certificate", "backend_tls.key")
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	c.backend = config
	return nil
}

// pair reads a certificate with its chain, and its key.
func (c *credentials) pair(certificate, key, certificateName, keyName string) (tls.Certificate, error) {
	chain, err := c.read(certificate, certificateName)
	if err != nil {
		return tls.Certificate{}, err
	}
	secret := chain
	if key != "" {
		if secret, err = c.read(key, keyName); err != nil {
			return tls.Certificate{}, err
		}
	}
	pair, err := tls.X509KeyPair(chain, secret)
	if err != nil {
		return pair, fmt.Errorf("%s and %s do not make a pair: %w (write PEM: the certificate first, then its chain, and the key that belongs to it)",
			certificateName, keyName, err)
	}
	if pair.Leaf == nil { // GODEBUG=x509keypairleaf=0
		pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	return pair, err
}

func (c *credentials) pool(file, name string) (*x509.CertPool, error) {
	text, err := c.read(file, name)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: %s has no certificate in PEM", name, file)
	}
	return pool, nil
}

func (c *credentials) read(file, name string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	c.files = append(c.files, sha256.Sum256(text))
	return text, nil
}

// same reports whether both were made of the same files.
func (c *credentials) same(other *credentials) bool { return slices.Equal(c.files, other.files) }

// forSession returns the configuration of one session's TLS with its client. The key of its
// tickets is the session's own: TLS that resumes with one of them is this session's.
func (c *credentials) forSession() *tls.Config {
	config := c.client.Clone()
	var key [32]byte
	_, _ = rand.Read(key[:]) // never fails
	config.SetSessionTicketKeys([][32]byte{key})
	return config
}

// forBackend returns the configuration of one session's TLS with a backend at
// an address. Its data connections resume what the control connection began.
func (c *credentials) forBackend(address string) *tls.Config {
	config := c.backend.Clone()
	if config.ServerName == "" {
		config.ServerName = address
	}
	config.ClientSessionCache = &newest{}
	return config
}

// newest keeps the newest TLS session with one backend. crypto/tls would have
// it forgotten whenever a handshake fails; that of a data connection fails with
// each 550, and servers want the next one to resume all the same.
type newest struct {
	session atomic.Pointer[tls.ClientSessionState]
}

// Get returns the session, whatever its name: there is one.
func (n *newest) Get(string) (*tls.ClientSessionState, bool) {
	session := n.session.Load()
	return session, session != nil
}

// Put replaces the session.
func (n *newest) Put(_ string, session *tls.ClientSessionState) {
	if session != nil {
		n.session.Store(session)
	}
}

// showCertificates brings the metric of certificates up to date with services.
func (s *Server) showCertificates(services map[string]*service) {
	for name, svc := range s.services {
		if services[name] == nil {
			svc.metrics.setCertificate(time.Time{})
		}
	}
	for _, svc := range services {
		c := svc.credentials.Load()
		svc.metrics.setCertificate(c.expires)
		if left := time.Until(c.expires); !c.expires.IsZero() && left < Soon {
			s.warnExpiry(svc, c.expires, left)
		}
	}
}

// Soon is when a certificate that expires is worth a word.
const Soon = 14 * 24 * time.Hour

func (s *Server) warnExpiry(svc *service, expires time.Time, left time.Duration) {
	text := "the certificate expires soon: clients will refuse it (tls.certificate)"
	if left <= 0 {
		text = "the certificate has expired: clients refuse it (tls.certificate)"
	}
	s.Logger.Warn(text, "service", svc.Name, "expires", expires)
}

// refreshCredentials takes certificates that were renewed in place, for new
// sessions. A file that cannot be used changes nothing.
func (s *Server) refreshCredentials() {
	s.mu.Lock()
	services := s.services
	s.mu.Unlock()
	for _, svc := range services {
		before := svc.credentials.Load()
		if len(before.files) == 0 {
			continue
		}
		now, err := loadCredentials(&svc.Service)
		switch {
		case err != nil:
			what := err.Error()
			if said := svc.badFiles.Swap(&what); said == nil || *said != what {
				s.Logger.Error("a certificate cannot be read again; the one before stays in use", "service", svc.Name, "error", err)
			}
		case !now.same(before):
			svc.badFiles.Store(nil)
			svc.credentials.Store(now)
			svc.metrics.setCertificate(now.expires)
			s.Logger.Info("certificates were renewed", "service", svc.Name, "expires", now.expires)
		}
	}
}
