package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
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

// reply is one of a server. Code 0 is none.
type reply struct {
	code int
	text string
}

func (r reply) String() string {
	text, _, _ := strings.Cut(r.text, "\n")
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return fmt.Sprintf("%d %s", r.code, text)
}

// talkTime bounds a dialogue, connecting included, and talkBytes what is read.
const (
	talkTime  = 10 * time.Second
	talkBytes = 64 << 10
)

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

// run dials, greets, asks for what the server can do, and for passive mode,
// without a login.
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
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // a deadline that cannot be set leaves that of the check
	}
	if t.svc.BackendTLS.Mode == proxy.BackendImplicit {
		if conn, err = t.secure(ctx, conn); err != nil {
			return err
		}
	}
	line := newLine(conn)
	if err := greeted(line); err != nil {
		return err
	}
	if t.svc.BackendTLS.Mode == proxy.BackendExplicit {
		if r, err := ask(line, "AUTH TLS"); err != nil || r.code != 234 {
			return orReply(err, "refuses TLS (backend_tls.mode = \"explicit\")", r)
		}
		if conn, err = t.secure(ctx, conn); err != nil {
			return err
		}
		line = newLine(conn)
	}
	return t.askAround(line)
}

func (t *talk) askAround(line *textproto.Conn) error {
	features, err := ask(line, "FEAT")
	if err != nil {
		return fmt.Errorf("does not answer FEAT: %w", err)
	}
	for feature := range strings.Lines(features.text) {
		t.auth = t.auth || strings.HasPrefix(strings.ToUpper(strings.TrimSpace(feature)), "AUTH")
	}
	command := "PASV"
	if t.at.Addr().Is6() {
		command = "EPSV" // RFC 2428 §3
	}
	if t.setUp, err = ask(line, command); err != nil {
		return fmt.Errorf("does not answer %s: %w", command, err)
	}
	_ = line.PrintfLine("QUIT") // the server may have hung up
	return nil
}

// newLine bounds what a server can have us read.
func newLine(conn net.Conn) *textproto.Conn {
	return textproto.NewConn(struct {
		io.Reader
		io.Writer
		io.Closer
	}{io.LimitReader(conn, talkBytes), conn, conn})
}

// greeted waits for the 220, before which there may be a 120 (RFC 959 §5.4).
func greeted(line *textproto.Conn) error {
	for {
		code, text, err := line.ReadResponse(0)
		if err != nil {
			return fmt.Errorf("does not greet: %w", reading(err))
		}
		if code != 120 {
			if code != 220 {
				return fmt.Errorf("greets with %v, not with 220", reply{code, text})
			}
			return nil
		}
	}
}

func ask(line *textproto.Conn, command string) (reply, error) {
	if err := line.PrintfLine("%s", command); err != nil {
		return reply{}, err
	}
	code, text, err := line.ReadResponse(0)
	if err != nil {
		return reply{}, reading(err)
	}
	return reply{code, text}, nil
}

// reading makes an error of a reply that is none shorter, and printable.
func reading(err error) error {
	var protocol textproto.ProtocolError
	if errors.As(err, &protocol) {
		text := string(protocol)
		if len(text) > 100 {
			text = text[:100] + "…"
		}
		return fmt.Errorf("what it says is not FTP: %q", text)
	}
	return err
}

func orReply(err error, what string, r reply) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return fmt.Errorf("%s: %v", what, r)
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
