package proxy

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// peer is an end of a connection that the test plays.
type peer struct {
	*net.TCPConn
	t    testing.TB
	name string
	r    *bufio.Reader
	w    io.Writer
	tls  *tls.Conn // nil: in clear
	wire *corked   // under it
}

func newPeer(t testing.TB, name string, conn net.Conn) *peer {
	t.Cleanup(func() { conn.Close() })
	return &peer{TCPConn: conn.(*net.TCPConn), t: t, name: name, r: bufio.NewReader(conn), w: conn}
}

func listenTCP(t testing.TB, at string) *net.TCPListener {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

func acceptFrom(t testing.TB, l *net.TCPListener) *peer {
	t.Helper()
	_ = l.SetDeadline(time.Now().Add(patience))
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return newPeer(t, "server", conn)
}

func addrPort(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }

// send sends lines, each with its CRLF, in one segment.
func (p *peer) send(lines ...string) {
	p.t.Helper()
	p.write(strings.Join(lines, "\r\n") + "\r\n")
}

func (p *peer) write(text string) {
	p.t.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p.w, text); err != nil {
		p.t.Fatalf("%s sends %q: %v", p.name, text, err)
	}
}

// line returns the next line that arrives, without its CRLF.
func (p *peer) line() string {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	line, err := p.r.ReadString('\n')
	if err != nil {
		p.t.Fatalf("%s reads %q: %v", p.name, line, err)
	}
	text, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		p.t.Fatalf("%s reads %q, which does not end in CRLF", p.name, line)
	}
	return text
}

// want reads lines, which must be these.
func (p *peer) want(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		if got := p.line(); got != want {
			p.t.Fatalf("%s reads %q, want %q", p.name, got, want)
		}
	}
}

// wantEnd waits for the clean end of what the other side sends.
func (p *peer) wantEnd() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if b, err := p.r.ReadByte(); err != io.EOF {
		p.t.Fatalf("%s reads byte %q, %v; want the end", p.name, b, err)
	}
}

// wantGone waits for the end of the connection, clean or not.
func (p *peer) wantGone() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if b, err := p.r.ReadByte(); err != io.EOF && !errors.Is(err, unix.ECONNRESET) {
		p.t.Fatalf("%s reads byte %q, %v; want the end", p.name, b, err)
	}
}

// unread returns how many bytes have arrived and were not read (FIONREAD). It
// says something only while nobody reads.
func (p *peer) unread() int {
	n, err := p.option(func(fd int) (int, error) { return unix.IoctlGetInt(fd, unix.TIOCINQ) })
	if err != nil {
		p.t.Errorf("%s: %v", p.name, err)
	}
	return n
}

func (p *peer) option(get func(fd int) (int, error)) (n int, err error) {
	return option(p.TCPConn, get)
}

func option(conn *net.TCPConn, get func(fd int) (int, error)) (n int, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, err
	}
	err = control(raw, func(fd int) (err error) {
		n, err = get(fd)
		return err
	})
	return n, err
}

// reset ends the connection with a RST.
func (p *peer) reset() {
	p.t.Helper()
	if err := errors.Join(p.SetLinger(0), p.Close()); err != nil {
		p.t.Fatal(err)
	}
}

// dialogue is a session with both of its peers.
type dialogue struct {
	*gateway
	client, server *peer
}

// command is one that the gateway passes on as it is.
func (d *dialogue) command(line string) {
	d.t.Helper()
	d.client.send(line)
	d.server.want(line)
}

// reply is one that the gateway passes on as it is.
func (d *dialogue) reply(lines ...string) {
	d.t.Helper()
	d.server.send(lines...)
	d.client.want(lines...)
}

// refused is a command that the gateway answers by itself.
func (d *dialogue) refused(line, reply string) {
	d.t.Helper()
	d.client.send(line)
	d.client.want(reply)
}

func (d *dialogue) logIn() {
	d.t.Helper()
	d.command("USER anna")
	d.reply("331 password")
	d.command("PASS s3cret")
	d.reply("230 logged in")
}

// leave ends the session as a client does that does not say QUIT.
func (d *dialogue) leave() {
	d.t.Helper()
	d.client.Close()
	d.server.wantEnd()
	d.server.Close()
	d.wantEnded(clientClosed)
}

// passive sets up a passive data connection and returns what the client is
// told to dial.
func (d *dialogue) passive() netip.AddrPort {
	d.t.Helper()
	return d.passiveTo(netip.MustParseAddrPort(backendAddr + ":2000"))
}

// passiveTo does so for a server that listens elsewhere.
func (d *dialogue) passiveTo(server netip.AddrPort) netip.AddrPort {
	d.t.Helper()
	d.command("PASV")
	d.server.send("227 Entering Passive Mode (" + tuple(server) + ").")
	at, rest := tupleIn(d.t, d.client.line())
	if rest != "227 Entering Passive Mode (*)." {
		d.t.Fatalf("the client reads %q", rest)
	}
	return at
}

// active sets up an active data connection and returns what the server is told
// to dial.
func (d *dialogue) active() netip.AddrPort {
	d.t.Helper()
	return d.activeTo(netip.MustParseAddrPort(clientAddr + ":40000"))
}

// activeTo does so for a client that listens elsewhere.
func (d *dialogue) activeTo(client netip.AddrPort) netip.AddrPort {
	d.t.Helper()
	d.client.send("PORT " + tuple(client))
	at, rest := tupleIn(d.t, d.server.line())
	if rest != "PORT *" {
		d.t.Fatalf("the server reads %q", rest)
	}
	d.reply("200 PORT command successful")
	return at
}

// tuple is how PORT and 227 write an address and port.
func tuple(at netip.AddrPort) string {
	a := at.Addr().As4()
	return fmt.Sprintf("%d,%d,%d,%d,%d,%d", a[0], a[1], a[2], a[3], at.Port()>>8, at.Port()&0xff)
}

// tupleIn finds h1,h2,h3,h4,p1,p2 in a line and returns the line with a * instead.
func tupleIn(t testing.TB, line string) (netip.AddrPort, string) {
	t.Helper()
	from := strings.IndexAny(line[3:], "0123456789") + 3
	to := from + len(line[from:]) - len(strings.TrimLeft(line[from:], "0123456789,"))
	var h [4]byte
	var p1, p2 uint16
	if _, err := fmt.Sscanf(line[from:to], "%d,%d,%d,%d,%d,%d", &h[0], &h[1], &h[2], &h[3], &p1, &p2); err != nil {
		t.Fatalf("no address in %q: %v", line, err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(h), p1<<8|p2), line[:from] + "*" + line[to:]
}

func isReset(err error) bool { return errors.Is(err, unix.ECONNRESET) }
