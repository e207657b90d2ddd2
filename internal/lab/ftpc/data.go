package ftpc

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"time"
)

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
		return netip.AddrPortFrom(addrPort(c.tcp.RemoteAddr()).Addr(), port), nil
	}
	return netip.AddrPort{}, fmt.Errorf("set-up refused: %s", text)
}

func (d *Data) active(mode string) (err error) {
	here := addrPort(d.client.tcp.LocalAddr()).Addr()
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

// Open dials or accepts the data connection, and puts TLS on it where data is protected.
func (d *Data) Open() (net.Conn, error) {
	conn, err := d.connect()
	if err != nil {
		return nil, err
	}
	return d.client.protect(conn), nil
}

func (d *Data) connect() (net.Conn, error) {
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
	data, err := c.move(conn, move)
	if err = errors.Join(err, c.outcome(d.Listen == nil)); err != nil {
		return data, fmt.Errorf("%s: %w", command, err)
	}
	return data, nil
}

// outcome reads what the server makes of a transfer.
func (c *Client) outcome(preliminary bool) error {
	if preliminary {
		if _, err := c.Expect(1); err != nil {
			return err
		}
	}
	_, err := c.Expect(2)
	return err
}

// move makes the TLS of a data connection, also where there is nothing to
// send, moves the data and closes.
func (c *Client) move(conn net.Conn, move func(net.Conn) ([]byte, error)) ([]byte, error) {
	if secured, ok := conn.(*tls.Conn); ok {
		if err := secured.Handshake(); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	data, err := move(conn)
	return data, errors.Join(err, c.finish(conn))
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
