package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"ftpgate/proxy"
)

// talk is what a short dialogue with a backend brought to light.
type talk struct {
	svc   *proxy.Service
	at    netip.AddrPort
	err   error // what ended it before its end
	auth  bool  // it offers TLS
	setUp reply // to PASV, or to EPSV in IPv6
}

// talkTime bounds a dialogue, connecting included.
const talkTime = 10 * time.Second

// talkToAll talks with every backend of every service at once.
func (h *host) talkToAll() []talk {
	ctx, cancel := context.WithTimeout(context.Background(), talkTime)
	defer cancel()
	var talks []talk
	h.each(func(svc *proxy.Service) {
		for _, b := range svc.Backends {
			talks = append(talks, talk{svc: svc, at: b})
		}
	})
	var running sync.WaitGroup
	for i := range talks {
		running.Go(func() { talks[i].err = talks[i].run(ctx) })
	}
	running.Wait()
	return talks
}

// run dials, waits for the greeting, asks what the server can do, and for passive
// mode, without a login.
func (t *talk) run(ctx context.Context) error {
	d := net.Dialer{Timeout: t.svc.Timeouts.Connect}
	if a := t.svc.SourceAddress; a.IsValid() && a.Is4() == t.at.Addr().Is4() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", t.at.String())
	if err != nil {
		return fmt.Errorf("does not answer: %w", err)
	}
	defer func() { _ = conn.Close() }()
	if t.svc.BackendTLS.Mode == proxy.BackendImplicit {
		if conn, err = t.secure(ctx, conn); err != nil {
			return err
		}
	}
	end, _ := ctx.Deadline()
	l := newLine(conn, t.svc.Timeouts.Greeting, end)
	if err := greeted(l); err != nil {
		return err
	}
	if t.svc.BackendTLS.Mode == proxy.BackendExplicit {
		const what = "refuses TLS (backend_tls.mode = \"explicit\")"
		switch r, err := l.ask("AUTH TLS"); {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case r.code != 234:
			return fmt.Errorf("%s: %v", what, r)
		}
		if conn, err = t.secure(ctx, conn); err != nil {
			return err
		}
		l = newLine(conn, t.svc.Timeouts.Greeting, end)
	}
	return t.askAround(l)
}

// greeted waits for the 220, before which there may be a 120 (RFC 959 §5.4).
func greeted(l *line) error {
	for {
		r, err := l.reply()
		switch {
		case err != nil:
			return fmt.Errorf("does not greet: %w", err)
		case r.code == 220:
			return nil
		case r.code != 120:
			return fmt.Errorf("greets with %v, not with 220", r)
		}
	}
}

func (t *talk) askAround(l *line) error {
	features, err := l.ask("FEAT")
	if err != nil {
		return fmt.Errorf("does not answer FEAT: %w", err)
	}
	for _, feature := range features.lines {
		t.auth = t.auth || strings.HasPrefix(strings.ToUpper(strings.TrimSpace(feature)), "AUTH")
	}
	command := "PASV"
	if t.at.Addr().Is6() {
		command = "EPSV" // RFC 2428 §3
	}
	if t.setUp, err = l.ask(command); err != nil {
		return fmt.Errorf("does not answer %s: %w", command, err)
	}
	_, _ = fmt.Fprint(l.conn, "QUIT\r\n") // it may have hung up
	return nil
}

// secure makes the TLS that backend_tls asks for, as a session would.
func (t *talk) secure(ctx context.Context, conn net.Conn) (net.Conn, error) {
	config, err := backendTLS(t.svc.BackendTLS, t.at)
	if err != nil {
		return conn, err
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		return conn, fmt.Errorf("has no TLS that is good enough: %w", err)
	}
	return secured, nil
}

// backendTLS is the configuration of TLS with a backend.
func backendTLS(t proxy.BackendTLS, at netip.AddrPort) (*tls.Config, error) {
	config := &tls.Config{ServerName: t.ServerName, MinVersion: t.MinVersion, InsecureSkipVerify: t.InsecureSkipVerify}
	if config.ServerName == "" {
		config.ServerName = at.Addr().String()
	}
	if t.CA != "" {
		text, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("cannot be verified: backend_tls.ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(text)
	}
	if t.Certificate != "" {
		key := t.Key
		if key == "" {
			key = t.Certificate
		}
		pair, err := tls.LoadX509KeyPair(t.Certificate, key)
		if err != nil {
			return nil, fmt.Errorf("cannot be shown our certificate: backend_tls.certificate: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
