package proxy

import (
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
)

// tlsError says that a backend is there and its TLS is not what backend_tls
// asks for. Nothing that trying again would mend.
type tlsError struct{ error }

func (e *tlsError) Unwrap() error { return e.error }

// judgeTLS tells a handshake that showed something wrong from a connection that
// was lost under it.
func judgeTLS(err error) error {
	var lost *net.OpError
	if errors.As(err, &lost) && (lost.Op == "read" || lost.Op == "write") || errors.Is(err, io.EOF) {
		return err
	}
	return &tlsError{err}
}

// noBackendWord says to the client what is known of why there is no server.
func noBackendWord(err error) string {
	var untrusted *tlsError
	if errors.As(err, &untrusted) {
		return "421 The gateway has no trustworthy TLS with the FTP server: " + publicly(untrusted) + "\r\n"
	}
	return "421 The FTP server behind this gateway cannot be reached: try again later\r\n"
}

// publicly is what anybody outside may know of it: no name or address of the
// inside. The log has the rest.
func publicly(err error) string {
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.As(err, &authority):
		return "its certificate is signed by unknown authority"
	}
	return strings.Map(func(r rune) rune { // what a server said is no more than text
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, err.Error()[:min(len(err.Error()), 2*maxQuoted)])
}
