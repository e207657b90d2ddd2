package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"path/filepath"
	"testing"
)

var here = netip.MustParseAddr("192.0.2.1")

// handshake is what a client that trusts the authority makes of a server's certificate.
func handshake(t *testing.T, ca *Authority, server tls.Certificate, name string) error {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		far, err := ln.Accept()
		if err != nil {
			return
		}
		defer far.Close()
		_ = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{server}}).Handshake() // the client's word is what counts
	}()
	near, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	return tls.Client(near, &tls.Config{RootCAs: ca.Pool(), ServerName: name}).Handshake()
}

func TestClientsJudgeCertificatesAsTheyShould(t *testing.T) {
	ca := must(New())
	for _, tt := range []struct {
		name   string
		server *Certificate
		want   any // what errors.As finds; nil: no error
	}{
		{"in order", must(ca.Issue(Request{Addrs: []netip.Addr{here}})), nil},
		{"for another address", must(ca.Issue(Request{Addrs: []netip.Addr{here.Next()}})), new(x509.HostnameError)},
		{"for a name alone", must(ca.Issue(Request{Names: []string{"192.0.2.1"}})), new(x509.HostnameError)},
		{"expired", must(ca.Issue(Request{Addrs: []netip.Addr{here}, Expired: true})), new(x509.CertificateInvalidError)},
		{"for a client", must(ca.Issue(Request{Addrs: []netip.Addr{here}, Client: true})), new(x509.CertificateInvalidError)},
		{"self-signed", must(SelfSigned(Request{Addrs: []netip.Addr{here}})), new(x509.UnknownAuthorityError)},
		{"of another authority", must(must(New()).Issue(Request{Addrs: []netip.Addr{here}})), new(x509.UnknownAuthorityError)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := handshake(t, ca, tt.server.TLS(), here.String())
			if tt.want == nil && err != nil || tt.want != nil && !errors.As(err, tt.want) {
				t.Errorf("got %v, want %T", err, tt.want)
			}
		})
	}
}

func TestFilesHoldWhatWasIssued(t *testing.T) {
	ca := must(New())
	dir := t.TempDir()
	if err := errors.Join(ca.Write(dir), must(ca.Issue(Request{Addrs: []netip.Addr{here}})).Write(dir)); err != nil {
		t.Fatal(err)
	}
	both := filepath.Join(dir, BothFile)
	for _, files := range [][2]string{{filepath.Join(dir, CertFile), filepath.Join(dir, KeyFile)}, {both, both}} {
		cert, err := tls.LoadX509KeyPair(files[0], files[1])
		if err != nil {
			t.Fatal(err)
		}
		if err := handshake(t, ca, cert, here.String()); err != nil {
			t.Errorf("%v: %v", files, err)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
