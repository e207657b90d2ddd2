// Package pki makes the certificates of the lab: an authority that nobody trusts but who is told to, and what it signs, in order
// and out of order.
//
//	ca, err := pki.New()
//	good, err := ca.Issue(pki.Request{Names: []string{"ftp.example.com"}, Addrs: []netip.Addr{lab.WanV4}})
//	late, err := ca.Issue(pki.Request{Addrs: …, Expired: true})
//	alone, err := pki.SelfSigned(pki.Request{Addrs: …})
//	config := tls.Config{Certificates: []tls.Certificate{good.TLS()}}
//	err = good.Write(dir) // cert.pem, key.pem, both.pem
//
// All keys are ECDSA P-256: they take no time to make, and every program of the lab takes them.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// The files of Write.
const (
	CAFile   = "ca.pem"   // the authority; Authority.Write
	CertFile = "cert.pem" // the chain
	KeyFile  = "key.pem"
	BothFile = "both.pem" // key and chain in one file
)

// Authority signs certificates.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Request says what a certificate is for. The zero value is good for no name, from an hour ago to a day ahead.
type Request struct {
	Names   []string     // DNS names; the first is the subject's too
	Addrs   []netip.Addr // IP addresses
	Client  bool         // for a TLS client; else for a server
	Expired bool         // it ended an hour ago
}

// Certificate is a certificate with its key.
type Certificate struct {
	Leaf *x509.Certificate

	chain []byte // PEM
	key   *ecdsa.PrivateKey
}

// New makes an authority.
func New() (*Authority, error) {
	template, err := template(Request{Names: []string{"ftpgate lab authority"}})
	if err != nil {
		return nil, err
	}
	template.DNSNames = nil
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	template.ExtKeyUsage = nil
	c, err := sign(template, nil)
	if err != nil {
		return nil, err
	}
	return &Authority{c.Leaf, c.key}, nil
}

// Issue makes a certificate that the authority signs.
func (a *Authority) Issue(r Request) (*Certificate, error) {
	template, err := template(r)
	if err != nil {
		return nil, err
	}
	return sign(template, a)
}

// SelfSigned makes a certificate that no authority knows.
func SelfSigned(r Request) (*Certificate, error) {
	template, err := template(r)
	if err != nil {
		return nil, err
	}
	return sign(template, nil)
}

func template(r Request) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("pick a serial number: %w", err)
	}
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial,
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames:     r.Names,
	}
	if r.Expired {
		t.NotBefore, t.NotAfter = now.Add(-48*time.Hour), now.Add(-time.Hour)
	}
	if r.Client {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	t.Subject = pkix.Name{Organization: []string{"ftpgate lab"}}
	if len(r.Names) > 0 {
		t.Subject.CommonName = r.Names[0]
	}
	for _, a := range r.Addrs {
		t.IPAddresses = append(t.IPAddresses, net.IP(a.AsSlice()))
	}
	return t, nil
}

// sign makes a key and the certificate for it. Without an authority it signs itself.
func sign(template *x509.Certificate, by *Authority) (*Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if by == nil {
		by = &Authority{template, key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return nil, fmt.Errorf("sign a certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("read the certificate just signed: %w", err)
	}
	return &Certificate{leaf, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), key}, nil
}

// Pool trusts the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Write puts the authority's certificate in a folder, as CAFile. The key stays here.
func (a *Authority) Write(dir string) error {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
	return os.WriteFile(filepath.Join(dir, CAFile), text, 0o644)
}

// TLS is the certificate as crypto/tls wants it.
func (c *Certificate) TLS() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{c.Leaf.Raw}, PrivateKey: c.key, Leaf: c.Leaf}
}

// Write puts certificate and key in a folder: CertFile, KeyFile and BothFile. The key is root's alone, which some servers
// insist on.
func (c *Certificate) Write(dir string) error {
	der, err := x509.MarshalPKCS8PrivateKey(c.key)
	if err != nil {
		return fmt.Errorf("write a key: %w", err)
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return errors.Join(
		os.WriteFile(filepath.Join(dir, CertFile), c.chain, 0o644),
		os.WriteFile(filepath.Join(dir, KeyFile), key, 0o600),
		os.WriteFile(filepath.Join(dir, BothFile), bytes.Join([][]byte{key, c.chain}, nil), 0o600),
	)
}
