// Package ftpc is a small FTP client for the demo, the tests and the
// benchmarks. It leaves every step to its caller, who wants to look between
// them: a command and its reply, a set-up and its data connection.
//
// Be aware: it believes what the server says about addresses, as old clients
// do, since that is what a gateway has to get right.
package ftpc

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Network is where a client has its sockets. *lab.Host is one.
type Network interface {
	Dial(ctx context.Context, network, addr string) (net.Conn, error)
	Listen(network, addr string) (net.Listener, error)
}

// Client is one control connection.
type Client struct {
	Conn net.Conn
	// Timeout bounds each step; it is set by Dial and may be changed.
	Timeout time.Duration

	// DataTLS is the TLS of data connections; nil: none. Protect sets it. A
	// test that wants to misbehave puts another one there: without a session,
	// with that of another client, or none.
	DataTLS *tls.Config
	// Truncate ends the TCP connection of an upload without the end of its TLS.
	Truncate bool

	network Network
	tcp     net.Conn // Conn, or what is below its TLS
	replies *bufio.Reader
	config  *tls.Config // of the control connection
	session *session
}

// Reply is a whole reply. Lines are without their line ends.
type Reply struct {
	Code  int
	Lines []string
}

// Last is the reply's last line.
func (r Reply) Last() string { return r.Lines[len(r.Lines)-1] }

// Dial connects and reads the greeting.
func Dial(n Network, addr string) (*Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := n.Dial(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := newClient(n, conn)
	if _, err := c.Expect(2); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

func newClient(n Network, conn net.Conn) *Client {
	return &Client{Conn: conn, Timeout: 20 * time.Second, network: n, tcp: conn, replies: bufio.NewReader(conn)}
}

// Close ends the control connection without QUIT.
func (c *Client) Close() error { return c.Conn.Close() }

// Login logs in as demo.
func (c *Client) Login() error {
	if r, err := c.Do("USER demo"); err != nil || r.Code == 230 {
		return err
	}
	return c.Must(2, "PASS demo")
}

// Send writes lines, each with CRLF, in one write.
func (c *Client) Send(lines ...string) error {
	_ = c.Conn.SetWriteDeadline(time.Now().Add(c.Timeout))
	_, err := io.WriteString(c.Conn, strings.Join(lines, "\r\n")+"\r\n")
	return err
}

// Read reads one reply, however many lines it has (RFC 959 §4.2).
func (c *Client) Read() (Reply, error) {
	_ = c.Conn.SetReadDeadline(time.Now().Add(c.Timeout))
	var r Reply
	for {
		line, err := c.replies.ReadString('\n')
		if err != nil {
			return r, fmt.Errorf("read a reply: %w", err)
		}
		line = strings.TrimRight(line, "\r\n")
		r.Lines = append(r.Lines, line)
		if len(r.Lines) == 1 {
			if len(line) < 3 {
				return r, fmt.Errorf("not a reply: %q", line)
			}
			if r.Code, err = strconv.Atoi(line[:3]); err != nil {
				return r, fmt.Errorf("not a reply: %q", line)
			}
		}
		if len(line) == 3 || len(line) > 3 && line[3] == ' ' && line[:3] == r.Lines[0][:3] {
			return r, nil
		}
	}
}

// Expect reads a reply of a class, 2 for 2yz.
func (c *Client) Expect(class int) (Reply, error) {
	r, err := c.Read()
	if err == nil && r.Code/100 != class {
		err = fmt.Errorf("want a %dyz, got %q", class, r.Last())
	}
	return r, err
}

// Do sends a command and reads its reply, whatever it says.
func (c *Client) Do(command string) (Reply, error) {
	if err := c.Send(command); err != nil {
		return Reply{}, err
	}
	return c.Read()
}

// Must sends a command whose reply must be of a class.
func (c *Client) Must(class int, command string) error {
	r, err := c.Do(command)
	if err == nil && r.Code/100 != class {
		err = fmt.Errorf("%s: %s", command, r.Last())
	}
	return err
}
