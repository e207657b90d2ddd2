package proxy

import (
	"crypto/tls"
	"errors"
	"fmt"

	"ftpgate/alg"
)

// secure changes the client's connection as a verdict says.
func (s *session) secure(how alg.Secure) {
	switch how {
	case alg.StartTLS:
		s.startTLS()
	case alg.EndTLS:
		s.clientConn.unseal()
	case alg.GoThrough:
		s.goThrough()
	}
}

// startTLS puts TLS on the client's connection. Its reader makes the handshake.
func (s *session) startTLS() {
	if s.clientTLS == nil {
		s.clientTLS = s.service.credentials.Load().forSession()
	}
	s.clientConn.seal(tls.Server, s.clientTLS)
}

// clientSecured makes the handshake if there is one to make. It reports false
// when the session is over.
func (s *session) clientSecured() bool {
	if s.clientConn.opened.Load() == nil || s.clientConn.ready.Load() {
		return true
	}
	err := s.shake() // the session's clock has an eye on how long
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.phase == over:
		return false
	case err != nil:
		s.end(noHandshake, fmt.Errorf("TLS with the client: %w", err), "")
		return false
	}
	if len(s.held) > 0 { // said meanwhile
		s.writeClient(nil)
	}
	return s.phase != over
}

// shake is the handshake of the client's control connection.
func (s *session) shake() error {
	err := s.clientConn.handshake()
	s.service.metrics.shook(clientControl, err)
	if err == nil {
		if peers := s.clientConn.opened.Load().ConnectionState().PeerCertificates; len(peers) > 0 {
			s.clientLeaf = peers[0]
		}
	}
	return err
}

// restartServer follows a REIN that has ended the server's TLS: the login that
// comes next must not go there in clear.
func (s *session) restartServer() {
	if s.phase == over {
		return
	}
	if err := s.serverConn.restart(s.service); err != nil {
		s.end(noBackend, fmt.Errorf("TLS with the server after REIN: %w", err), noBackendWord(err))
	}
}

var errInjection = errors.New(alg.Injection.String())

// injected ends a session in which something stood in clear where TLS must come
// next: it would count as said within TLS (CVE-2011-0411).
func (s *session) injected() {
	s.service.metrics.refused(alg.Injection.String())
	s.end(violated, errInjection, "")
}
