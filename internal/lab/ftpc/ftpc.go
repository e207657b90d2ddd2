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
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
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

	network Network
	replies *bufio.Reader
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
	c := &Client{Conn: conn, Timeout: 20 * time.Second, network: n, replies: bufio.NewReader(conn)}
	if _, err := c.Expect(2); err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
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

// Data is a data connection that has been set up. Open makes it, after the
// data command was sent; Reply is what the set-up was answered with.
type Data struct {
	Reply  Reply
	Listen net.Listener   // active: where the server dials
	At     netip.AddrPort // passive: where the client dials

	client *Client
}

// SetUp sends one of PASV, EPSV, PORT, EPRT.
func (c *Client) SetUp(mode string) (*Data, error) {
	d := &Data{client: c}
	var err error
	switch mode {
	case "PASV", "EPSV":
		if d.Reply, err = c.Do(mode); err != nil {
			return nil, err
		}
		d.At, err = c.passiveAddress(d.Reply)
	case "PORT", "EPRT":
		err = d.active(mode)
	default:
		err = fmt.Errorf("no such mode: %s", mode)
	}
	if err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

func (c *Client) passiveAddress(r Reply) (netip.AddrPort, error) {
	text := r.Last()
	switch r.Code {
	case 227:
		var a [4]byte
		var hi, lo byte
		i := strings.IndexAny(text[4:], "0123456789")
		if i < 0 {
			return netip.AddrPort{}, fmt.Errorf("no address in %q", text)
		}
		if _, err := fmt.Sscanf(text[4+i:], "%d,%d,%d,%d,%d,%d", &a[0], &a[1], &a[2], &a[3], &hi, &lo); err != nil {
			return netip.AddrPort{}, fmt.Errorf("no address in %q: %w", text, err)
		}
		return netip.AddrPortFrom(netip.AddrFrom4(a), uint16(hi)<<8|uint16(lo)), nil
	case 229:
		var port uint16
		i := strings.Index(text, "(|||")
		if i < 0 {
			return netip.AddrPort{}, fmt.Errorf("no port in %q", text)
		}
		if _, err := fmt.Sscanf(text[i:], "(|||%d|)", &port); err != nil {
			return netip.AddrPort{}, fmt.Errorf("no port in %q: %w", text, err)
		}
		return netip.AddrPortFrom(addrPort(c.Conn.RemoteAddr()).Addr(), port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("set-up refused: %s", text)
}

func (d *Data) active(mode string) (err error) {
	here := addrPort(d.client.Conn.LocalAddr()).Addr()
	if d.Listen, err = d.client.network.Listen("tcp", netip.AddrPortFrom(here, 0).String()); err != nil {
		return err
	}
	if d.Reply, err = d.client.Do(Argument(mode, addrPort(d.Listen.Addr()))); err != nil {
		return err
	}
	if d.Reply.Code/100 != 2 {
		return fmt.Errorf("set-up refused: %s", d.Reply.Last())
	}
	return nil
}

// Argument is the PORT or EPRT command for an address.
func Argument(mode string, at netip.AddrPort) string {
	if mode == "EPRT" {
		family := 1
		if at.Addr().Is6() {
			family = 2
		}
		return fmt.Sprintf("EPRT |%d|%s|%d|", family, at.Addr(), at.Port())
	}
	a := at.Addr().As4()
	return fmt.Sprintf("PORT %d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff)
}

// Open dials or accepts the data connection.
func (d *Data) Open() (net.Conn, error) {
	timeout := d.client.Timeout
	if d.Listen != nil {
		if l, ok := d.Listen.(interface{ SetDeadline(time.Time) error }); ok {
			_ = l.SetDeadline(time.Now().Add(timeout))
		}
		return d.Listen.Accept()
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return d.client.network.Dial(ctx, "tcp", d.At.String())
}

// Close stops listening, where the mode is active.
func (d *Data) Close() {
	if d.Listen != nil {
		d.Listen.Close()
	}
}

// Download sends a data command and returns what the server sends.
func (c *Client) Download(d *Data, command string) ([]byte, error) {
	return c.transfer(d, command, func(conn net.Conn) ([]byte, error) { return io.ReadAll(conn) })
}

// Upload sends a data command and then data.
func (c *Client) Upload(d *Data, command string, data []byte) error {
	_, err := c.transfer(d, command, func(conn net.Conn) ([]byte, error) {
		_, err := conn.Write(data)
		return nil, err
	})
	return err
}

// transfer works with servers that answer 150 before they dial and with those
// that do so after: a passive client dials right after its command.
func (c *Client) transfer(d *Data, command string, move func(net.Conn) ([]byte, error)) ([]byte, error) {
	defer d.Close()
	if err := c.Send(command); err != nil {
		return nil, err
	}
	if d.Listen != nil {
		if _, err := c.Expect(1); err != nil {
			return nil, fmt.Errorf("%s: %w", command, err)
		}
	}
	conn, err := d.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: data connection: %w", command, err)
	}
	_ = conn.SetDeadline(time.Now().Add(c.Timeout))
	data, err := move(conn)
	err = errors.Join(err, conn.Close())
	if err == nil && d.Listen == nil {
		_, err = c.Expect(1)
	}
	if err == nil {
		_, err = c.Expect(2)
	}
	if err != nil {
		return data, fmt.Errorf("%s: %w", command, err)
	}
	return data, nil
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
