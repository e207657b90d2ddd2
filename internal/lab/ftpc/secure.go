package ftpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// DialTLS connects to a server that speaks TLS from the first byte, and reads the greeting. The configuration needs a
// ServerName.
func DialTLS(n Network, addr string, config *tls.Config) (*Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := n.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := newClient(n, conn)
	if err := c.secure(config); err != nil {
		conn.Close()
		return nil, err
	}
	if _, err := c.Expect(2); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Auth says AUTH TLS and makes TLS (RFC 4217 §4). What is to stand behind AUTH, in clear and in the same segment, is for
// tests of those who must not take it for said within TLS. The configuration needs a ServerName.
func (c *Client) Auth(config *tls.Config, behind string) error {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(c.Timeout))
	if _, err := io.WriteString(c.Conn, "AUTH TLS\r\n"+behind); err != nil {
		return err
	}
	r, err := c.Read()
	if err == nil && r.Code != 234 {
		err = fmt.Errorf("AUTH TLS: %s", r.Last())
	}
	if err != nil {
		return err
	}
	if n := c.replies.Buffered(); n > 0 {
		return fmt.Errorf("%d bytes in clear behind the 234", n)
	}
	return c.secure(config)
}

// secure makes TLS on the control connection, whose session data connections can resume.
func (c *Client) secure(config *tls.Config) error {
	if config.ServerName == "" {
		return errors.New("the TLS configuration needs a ServerName: sessions are kept by it")
	}
	c.config, c.session = config, &session{}
	own := config.Clone()
	own.ClientSessionCache = c.session
	secured := tls.Client(c.tcp, own)
	_ = c.tcp.SetDeadline(time.Now().Add(c.Timeout))
	if err := secured.Handshake(); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	_ = c.tcp.SetDeadline(time.Time{})
	c.Conn, c.replies = secured, bufio.NewReader(secured)
	return nil
}

// Protect asks for TLS on data connections, which then resume the control connection's session.
func (c *Client) Protect() error {
	if err := c.Must(2, "PBSZ 0"); err != nil {
		return err
	}
	if err := c.Must(2, "PROT P"); err != nil {
		return err
	}
	c.DataTLS = c.Resuming()
	return nil
}

// Resuming is the configuration with which a connection resumes the TLS session of this control connection.
func (c *Client) Resuming() *tls.Config {
	config := c.config.Clone()
	config.ClientSessionCache = keep{c.session}
	return config
}

// Clear goes on without TLS on the control connection (RFC 4217 §5).
func (c *Client) Clear() error {
	if err := c.Must(2, "CCC"); err != nil {
		return err
	}
	return c.Expose()
}

// Expose ends TLS on the control connection, as CCC and REIN want it after their replies.
func (c *Client) Expose() error {
	secured, ok := c.Conn.(*tls.Conn)
	if !ok {
		return errors.New("there is no TLS to end")
	}
	if err := secured.CloseWrite(); err != nil {
		return fmt.Errorf("end TLS: %w", err)
	}
	_ = c.tcp.SetReadDeadline(time.Now().Add(c.Timeout))
	// Whoever is at the other end says nothing in clear before we do, so nothing of that is lost here.
	if _, err := io.Copy(io.Discard, secured); err != nil {
		return fmt.Errorf("wait for the end of TLS: %w", err)
	}
	c.Conn, c.replies = c.tcp, bufio.NewReader(c.tcp)
	return nil
}

// protect puts TLS on a data connection: the FTP client is TLS's client there whoever dialled (RFC 4217 §7). The first read
// or write makes the handshake.
func (c *Client) protect(conn net.Conn) net.Conn {
	if c.DataTLS == nil {
		return conn
	}
	return tls.Client(whole{conn}, c.DataTLS)
}

// whole is a connection that TLS must end before TCP does, also between two
// records, where crypto/tls would not mind.
type whole struct{ net.Conn }

var errCut = errors.New("the connection ended without the end of its TLS")

func (w whole) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// finish ends a data connection. Truncate leaves TLS without its end.
func (c *Client) finish(conn net.Conn) error {
	if secured, ok := conn.(*tls.Conn); ok && c.Truncate {
		return secured.NetConn().Close()
	}
	return conn.Close()
}

// session is the TLS session of one control connection: the last one that the server gave it. It may be used from several
// goroutines.
type session struct {
	mu    sync.Mutex
	state *tls.ClientSessionState
}

func (s *session) Get(string) (*tls.ClientSessionState, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, s.state != nil
}

func (s *session) Put(_ string, state *tls.ClientSessionState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// keep is a session to resume, and not to be replaced by those of the connections that do.
type keep struct{ *session }

func (keep) Put(string, *tls.ClientSessionState) {}
