package load

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// stream is a connection: a blocking socket, perhaps with TLS on it.
type stream struct {
	fd  int
	tls *tls.Conn // nil: in clear
}

// read returns 0 at the end: of TLS, a close_notify.
func (c stream) read(b []byte) (int, error) {
	if c.tls == nil {
		return read(c.fd, b)
	}
	n, err := c.tls.Read(b)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

func (c stream) write(b []byte) error {
	if c.tls == nil {
		return writeAll(c.fd, b)
	}
	_, err := c.tls.Write(b)
	return err
}

// close says that nothing follows, and closes. With TLS it also reads what it
// has not, tickets at least: else the kernel would reset the connection, and
// what is still under way would be lost. A peer that is gone by then has said
// what it had to; whether all arrived is for the reply to say.
func (c stream) close() error {
	if c.tls != nil {
		_ = c.tls.CloseWrite()
		_ = unix.Shutdown(c.fd, unix.SHUT_WR)
		for rest := make([]byte, 1024); ; {
			if n, err := c.read(rest); n == 0 || err != nil {
				break
			}
		}
	}
	return unix.Close(c.fd)
}

// The TLS that is measured, the same for all kinds.
const (
	tlsVersion = tls.VersionTLS13
	tlsCipher  = tls.TLS_AES_128_GCM_SHA256
)

// clientTLS is the TLS of one session: its data connections resume it. Whom it
// talks to is known; nothing is gained by asking for proof.
func clientTLS(server netip.Addr) *tls.Config {
	return &tls.Config{
		ServerName: server.String(), InsecureSkipVerify: true, MinVersion: tlsVersion,
		ClientSessionCache: tls.NewLRUClientSessionCache(1), DynamicRecordSizingDisabled: true,
	}
}

// secure puts TLS on a connection. Others than the one to be measured are an error.
func secure(c stream, config *tls.Config, resumed bool) (stream, error) {
	c.tls = tls.Client(socketConn(c.fd), config)
	if err := c.tls.Handshake(); err != nil {
		return c, fmt.Errorf("TLS: %w", err)
	}
	switch s := c.tls.ConnectionState(); {
	case s.CipherSuite != tlsCipher:
		return c, fmt.Errorf("TLS with %s, want %s", tls.CipherSuiteName(s.CipherSuite), tls.CipherSuiteName(tlsCipher))
	case resumed && !s.DidResume:
		return c, errors.New("the TLS of the data connection does not resume that of the control connection")
	}
	return c, nil
}

// socketConn is a blocking socket for TLS to run on. Its deadlines are those of
// the socket.
type socketConn int

// Read says io.ErrUnexpectedEOF at the end, which TLS must have announced.
func (c socketConn) Read(b []byte) (int, error) {
	n, err := read(int(c), b)
	if n == 0 && err == nil {
		err = io.ErrUnexpectedEOF
	}
	return max(n, 0), err
}

func (c socketConn) Write(b []byte) (int, error) {
	if err := writeAll(int(c), b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close does nothing: the socket is its owner's.
func (socketConn) Close() error                     { return nil }
func (socketConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (socketConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (socketConn) SetDeadline(time.Time) error      { return nil }
func (socketConn) SetReadDeadline(time.Time) error  { return nil }
func (socketConn) SetWriteDeadline(time.Time) error { return nil }
