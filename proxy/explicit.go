package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ftpgate/alg"
)

// In forward mode with explicit = true a client may dial the gateway itself and
// name the server in its login: USER user@host[:port]. Until then the gateway
// speaks alone; from then on the session is as any other.

const (
	explicitGreeting = "220 Name the server that you want: USER user@host\r\n"
	explicitFirst    = "530 Name the server first: USER user@host\r\n"
	explicitSyntax   = "501 Name the server: USER user@host or user@host:port, port 21 or above 1023\r\n"
	explicitRefused  = "530 This gateway does not lead to that server\r\n"
	explicitUnknown  = "530 The name of the server has no address that can be reached from yours\r\n"
)

// needsServer reports whether the client has to say where it wants to go.
func (s *session) needsServer() bool {
	return s.service.Mode == Forward && s.outside == plain(s.clientConn.LocalAddr())
}

var errNoServer = errors.New("the client named no server")

// askServer waits for a login that names a server, and makes it the one that
// is dialled. What the client sent behind it is read next.
func (s *session) askServer() error {
	_ = s.clientConn.SetDeadline(time.Now().Add(s.service.Timeouts.Login))
	s.mu.Lock()
	if s.asking = true; !s.endBy.IsZero() {
		_ = s.clientConn.SetDeadline(time.Now())
	}
	s.mu.Unlock()
	s.recordPrelude(fromGateway, []byte(explicitGreeting))
	if _, err := s.clientConn.Write([]byte(explicitGreeting)); err != nil {
		return err
	}
	lines := alg.NewLines(alg.MaxCommand)
	for range maxPrelude {
		line, err := nextLine(s.clientConn, &lines)
		if err != nil {
			return err
		}
		s.recordPrelude(fromClient, line)
		verb, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		answer := explicitFirst
		switch strings.ToUpper(verb) {
		case "QUIT":
			s.farewell("221 Goodbye\r\n")
			return errNoServer
		case "USER":
			if answer = s.nameServer(arg); answer == "" {
				s.clientConn.clear = bytes.Clone(lines.Rest())
				return s.clientConn.SetDeadline(time.Time{})
			}
		}
		s.recordPrelude(fromGateway, []byte(answer))
		if _, err := s.clientConn.Write([]byte(answer)); err != nil {
			return err
		}
	}
	s.farewell("421 Too many errors: closing the control connection\r\n")
	return errNoServer
}

// maxPrelude is how many lines a client may spend on naming a server.
const maxPrelude = 20

// nextLine reads a line, or a piece of one that is too long.
func nextLine(from net.Conn, lines *alg.Lines) ([]byte, error) {
	for {
		if line := lines.Next(); line != nil {
			return line, nil
		}
		n, err := from.Read(lines.Space())
		if n == 0 && err != nil {
			return nil, err
		}
		lines.Filled(n)
	}
}

// nameServer reads the argument of USER. It returns what is wrong with it.
func (s *session) nameServer(arg string) (answer string) {
	user, host, port, err := splitServer(arg)
	if err != nil {
		return explicitSyntax
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.service.Timeouts.Connect)
	defer cancel()
	network := "ip4"
	if s.client.Addr().Is6() {
		network = "ip6"
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, network, host)
	if err != nil || len(found) == 0 {
		return explicitUnknown
	}
	for _, a := range found { // the one that is dialled is the one that was judged
		if a = a.Unmap().WithZone(""); s.service.leadsTo(a) {
			s.wanted = netip.AddrPortFrom(a, port)
			s.user = []byte("USER " + user + "\r\n")
			return ""
		}
	}
	s.service.metrics.refused(string(badDestination))
	return explicitRefused
}

// splitServer splits user@host[:port]. A user's name may have an @ of its own.
func splitServer(arg string) (user, host string, port uint16, err error) {
	at := strings.LastIndexByte(arg, '@')
	if at <= 0 || strings.ContainsAny(arg, "\x00\r\n") {
		return "", "", 0, errNoServer
	}
	user, host, port = arg[:at], arg[at+1:], 21
	if h, p, err := net.SplitHostPort(host); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n != 21 && n < 1024 { // RFC 2577 §3: other services live there
			return "", "", 0, fmt.Errorf("port %q: %w", p, errNoServer)
		}
		host, port = h, uint16(n)
	}
	if host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"); host == "" {
		return "", "", 0, errNoServer
	}
	return user, host, port, nil
}
