package proxy

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"ftpgate/alg"
)

// upstream is a connection to a backend on which FTP can begin: in clear, or
// with TLS as backend_tls says. What the server has said by then is in said.
type upstream struct {
	*wire
	config *tls.Config // of its TLS; nil: in clear
}

// secure makes the TLS of a new connection. Whatever goes wrong is an error:
// a server that refuses AUTH is not talked to in clear. Its greeting is what is
// read from the connection first.
func (u *upstream) secure(svc *service) error {
	if svc.BackendTLS.Mode == BackendImplicit {
		if err := u.shake(svc); err != nil {
			return err
		}
	}
	_ = u.SetDeadline(time.Now().Add(svc.Timeouts.Greeting))
	d := &prelude{u: u, lines: alg.NewLines(alg.MaxReply)}
	var said []byte
	code, text, err := d.reply()
	for ; err == nil && code < 200; code, text, err = d.reply() { // RFC 959 §5.4: 120 may come first
		said = append(said, text...)
	}
	if err != nil {
		return fmt.Errorf("wait for the greeting: %w", err)
	}
	said = append(said, text...)
	switch {
	case code == 220 && svc.BackendTLS.Mode == BackendImplicit:
		err = d.protect()
	case code == 220:
		err = d.negotiate(svc)
	default: // a refusal, which the client gets to read
		said = append(said, d.lines.Rest()...)
	}
	u.clear = said
	return errors.Join(err, u.SetDeadline(time.Time{}))
}

// restart makes anew what REIN has ended (RFC 4217 §13): explicit TLS, and the
// protection of data.
func (u *upstream) restart(svc *service) error {
	if u.sealed == nil {
		return nil
	}
	d := &prelude{u: u, lines: alg.NewLines(alg.MaxReply)}
	again := d.protect
	if svc.BackendTLS.Mode == BackendExplicit {
		u.unseal()
		again = func() error { return d.negotiate(svc) }
	}
	_ = u.SetDeadline(time.Now().Add(svc.Timeouts.Greeting))
	return errors.Join(again(), u.SetDeadline(time.Time{}))
}

// shake is the TLS handshake, with us as the client.
func (u *upstream) shake(svc *service) error {
	_ = u.SetDeadline(time.Now().Add(svc.Timeouts.Greeting))
	u.seal(tls.Client, u.config)
	err := u.handshake()
	svc.metrics.shook(backendControl, err)
	if err != nil {
		return judgeTLS(fmt.Errorf("TLS: %w", err))
	}
	return nil
}

// prelude is what the gateway says to a server by itself, before a session.
type prelude struct {
	u     *upstream
	lines alg.Lines
}

// errInjected: what stands behind a 234 in clear would count as said within
// TLS (CVE-2011-0411, the other way round).
var errInjected = errors.New("the server said more in clear behind its answer to AUTH")

// negotiate is AUTH TLS and what follows it (RFC 4217 §4, §9).
func (d *prelude) negotiate(svc *service) error {
	if err := d.command("AUTH TLS", 234); err != nil {
		return err
	}
	if len(d.lines.Pending()) > 0 {
		return &tlsError{errInjected}
	}
	if err := d.u.shake(svc); err != nil {
		return err
	}
	return d.protect()
}

// protect asks for TLS on data connections too. Servers with implicit TLS do
// not all take it for granted.
func (d *prelude) protect() error {
	if err := d.command("PBSZ 0", 200); err != nil {
		return err
	}
	return d.command("PROT P", 200)
}

// command sends a command and wants one reply.
func (d *prelude) command(line string, want int) error {
	if _, err := d.u.Write([]byte(line + "\r\n")); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	switch code, text, err := d.reply(); {
	case err != nil:
		return fmt.Errorf("%s: %w", line, err)
	case code != want:
		return &tlsError{fmt.Errorf("%s was answered %q", line, bytes.TrimSpace(text[:min(len(text), maxQuoted)]))}
	}
	return nil
}

// How much of a server's reply an error quotes, and how long a reply to us may be.
const (
	maxQuoted = 100
	maxSaid   = 16 << 10
)

var errNotFTP = errors.New("it does not speak FTP")

// reply reads one whole reply (RFC 959 §4.2).
func (d *prelude) reply() (code int, text []byte, err error) {
	for len(text) < maxSaid {
		line, err := d.line()
		if err != nil {
			return 0, text, err
		}
		if text = append(text, line...); len(text) < 5 {
			return 0, text, errNotFTP
		}
		if code, err = strconv.Atoi(string(text[:3])); err != nil || code < 100 {
			return 0, text, errNotFTP
		}
		first := len(line) == len(text)
		if first && line[3] != '-' || len(line) > 3 && line[3] == ' ' && string(line[:3]) == string(text[:3]) {
			return code, text, nil
		}
	}
	return 0, text, errNotFTP
}

// line reads a line.
func (d *prelude) line() ([]byte, error) {
	line, err := nextLine(d.u, &d.lines)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return line, err
}
