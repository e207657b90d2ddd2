package ftpd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// client speaks the protocol by hand, so that each test is the dialogue it shows.
type client struct {
	*testing.T
	conn net.Conn
	text *textproto.Conn
}

// serve starts a server on a loopback address; it ends, and must, with the test.
func serve(t *testing.T, s *Server, addr string) string {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().String()
}

// dial connects and reads the greeting.
func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	c := &client{t, conn, textproto.NewConn(conn)}
	t.Cleanup(func() { c.text.Close() })
	c.want(220)
	return c
}

func login(t *testing.T, addr string) *client {
	t.Helper()
	c := dial(t, addr)
	c.say(331, "USER demo")
	c.say(230, "PASS demo")
	return c
}

func (c *client) send(format string, args ...any) {
	c.Helper()
	if _, err := fmt.Fprintf(c.conn, format+"\r\n", args...); err != nil {
		c.Fatal(err)
	}
}

// want reads a reply and returns its text.
func (c *client) want(code int) string {
	c.Helper()
	_, text, err := c.text.ReadResponse(code)
	if err != nil {
		c.Fatalf("want %d: %v", code, err)
	}
	return text
}

func (c *client) say(code int, format string, args ...any) string {
	c.Helper()
	c.send(format, args...)
	return c.want(code)
}

// modes are the four ways to a data connection. Each returns a function that gets the connection once the transfer
// command is sent.
var modes = map[string]func(*client) func() net.Conn{
	"PASV": func(c *client) func() net.Conn {
		var a, b, d, e, hi, lo int
		text := c.say(227, "PASV")
		if _, err := fmt.Sscanf(text, "Entering Passive Mode (%d,%d,%d,%d,%d,%d).", &a, &b, &d, &e, &hi, &lo); err != nil {
			c.Fatalf("%q: %v", text, err)
		}
		return c.dialling(fmt.Sprintf("%d.%d.%d.%d:%d", a, b, d, e, hi<<8|lo))
	},
	"EPSV": func(c *client) func() net.Conn {
		var port int
		text := c.say(229, "EPSV")
		if _, err := fmt.Sscanf(text, "Entering Extended Passive Mode (|||%d|)", &port); err != nil {
			c.Fatalf("%q: %v", text, err)
		}
		host, _, _ := net.SplitHostPort(c.conn.RemoteAddr().String())
		return c.dialling(net.JoinHostPort(host, fmt.Sprint(port)))
	},
	"PORT": func(c *client) func() net.Conn {
		addr, accept := c.listening()
		ip := addr.Addr().As4()
		c.say(200, "PORT %d,%d,%d,%d,%d,%d", ip[0], ip[1], ip[2], ip[3], addr.Port()>>8, addr.Port()&0xff)
		return accept
	},
	"EPRT": func(c *client) func() net.Conn {
		addr, accept := c.listening()
		family := 1
		if addr.Addr().Is6() {
			family = 2
		}
		c.say(200, "EPRT |%d|%v|%d|", family, addr.Addr(), addr.Port())
		return accept
	},
}

func (c *client) dialling(addr string) func() net.Conn {
	return func() net.Conn {
		c.Helper()
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			c.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		return conn
	}
}

func (c *client) listening() (netip.AddrPort, func() net.Conn) {
	c.Helper()
	local := c.conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	ln, err := net.Listen("tcp", netip.AddrPortFrom(local, 0).String())
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { ln.Close() })
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(10 * time.Second))
	return ln.Addr().(*net.TCPAddr).AddrPort(), func() net.Conn {
		c.Helper()
		conn, err := ln.Accept()
		if err != nil {
			c.Fatal(err)
		}
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		return conn
	}
}

// download runs a command that sends us data, and returns the data.
func (c *client) download(mode, command string) []byte {
	c.Helper()
	open := modes[mode](c)
	c.send("%s", command)
	conn := open()
	defer conn.Close()
	data, err := io.ReadAll(conn)
	if err != nil {
		c.Fatal(err)
	}
	c.want(150)
	c.want(226)
	return data
}

func (c *client) upload(mode, command string, data []byte) {
	c.Helper()
	open := modes[mode](c)
	c.send("%s", command)
	conn := open()
	if _, err := conn.Write(data); err != nil {
		c.Fatal(err)
	}
	conn.Close()
	c.want(150)
	c.want(226)
}

func TestTransfersInEveryModeAndFamily(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 100_000) // more than any socket buffer takes at once
	for _, family := range []struct {
		addr  string
		modes []string
	}{
		{"127.0.0.1:0", []string{"PASV", "EPSV", "PORT", "EPRT"}},
		{"[::1]:0", []string{"EPSV", "EPRT"}},
	} {
		for _, mode := range family.modes {
			t.Run(mode+" "+family.addr, func(t *testing.T) {
				files := NewTree()
				c := login(t, serve(t, &Server{Files: files}, family.addr))
				c.upload(mode, "STOR /up", content)
				stored, err := files.Get("/up")
				if err != nil || !bytes.Equal(stored, content) {
					t.Errorf("stored %d bytes (%v), want the %d sent", len(stored), err, len(content))
				}
				if got := c.download(mode, "RETR up"); !bytes.Equal(got, content) {
					t.Errorf("got %d bytes, want the %d stored", len(got), len(content))
				}
				if got := string(c.download(mode, "NLST")); got != "up\r\n" {
					t.Errorf("listing %q, want up", got)
				}
			})
		}
	}
}

func TestActiveDataComesFromTheGivenPort(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := free.Addr().(*net.TCPAddr).Port
	free.Close()
	files := NewTree()
	files.Put("/a", []byte("a"))
	c := login(t, serve(t, &Server{Files: files, ActiveFrom: port}, "127.0.0.1:0"))
	for range 2 { // the second time the port has just been used
		open := modes["PORT"](c)
		c.send("RETR /a")
		conn := open()
		if got := conn.RemoteAddr().(*net.TCPAddr).Port; got != port {
			t.Errorf("data came from port %d, want %d", got, port)
		}
		if _, err := io.ReadAll(conn); err != nil {
			t.Error(err)
		}
		conn.Close()
		c.want(150)
		c.want(226)
	}
}

func TestRestartAndAppend(t *testing.T) {
	files := NewTree()
	files.Put("/a", []byte("hello world"))
	c := login(t, serve(t, &Server{Files: files}, "127.0.0.1:0"))
	c.say(350, "REST 6")
	if got := string(c.download("EPSV", "RETR a")); got != "world" {
		t.Errorf("from 6: %q, want world", got)
	}
	if got := string(c.download("EPSV", "RETR a")); got != "hello world" {
		t.Errorf("the offset outlived its transfer: %q", got)
	}
	c.say(350, "REST 6")
	c.upload("EPSV", "STOR a", []byte("moon"))
	c.upload("EPSV", "APPE a", []byte("!"))
	c.upload("EPSV", "APPE b", []byte("new"))
	for name, want := range map[string]string{"/a": "hello moon!", "/b": "new"} {
		if got, err := files.Get(name); string(got) != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	c.say(350, "REST 100")
	c.say(229, "EPSV")
	c.say(551, "RETR a")
}

func TestGeneratedFileAndSink(t *testing.T) {
	const size = 3*chunk + 17
	files := NewTree()
	files.PutZeros("/zero", size)
	files.PutSink("/sink")
	c := login(t, serve(t, &Server{Files: files}, "127.0.0.1:0"))
	if got := c.say(213, "SIZE /zero"); got != fmt.Sprint(size) {
		t.Errorf("SIZE %s, want %d", got, size)
	}
	if got := c.download("PASV", "RETR /zero"); !bytes.Equal(got, make([]byte, size)) {
		t.Errorf("got %d bytes, want %d zeros", len(got), size)
	}
	c.upload("PASV", "STOR /sink", make([]byte, size))
	if got := c.say(213, "SIZE /sink"); got != "0" {
		t.Errorf("the sink holds %s bytes", got)
	}
}

func TestFoldersAndListings(t *testing.T) {
	files := NewTree()
	c := login(t, serve(t, &Server{Files: files}, "127.0.0.1:0"))
	c.say(257, "MKD in")
	c.say(550, "MKD in")
	c.say(550, "MKD none/in")
	c.say(250, "CWD in")
	c.upload("EPSV", "STOR a b", []byte("12"))
	if got := c.say(257, "PWD"); got != `"/in" is where you are.` {
		t.Errorf("PWD %q", got)
	}
	c.say(250, "CDUP")
	var names []string
	for _, command := range []string{"NLST", "LIST -la in", "MLSD in"} {
		for line := range strings.Lines(string(c.download("EPSV", command))) {
			names = append(names, line)
		}
	}
	stamp, err := files.stat("/in/a b")
	if err != nil {
		t.Fatal(err)
	}
	at := stamp.time.UTC()
	want := []string{
		"in\r\n",
		"-rw-r--r-- 1 ftp ftp            2 " + at.Format("Jan 02 15:04") + " a b\r\n",
		"type=file;size=2;modify=" + at.Format("20060102150405") + "; a b\r\n",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("listings (-want +got):\n%s", diff)
	}
	c.say(550, "DELE in")
	c.say(250, "DELE in/a b")
	c.say(250, "RMD in")
	c.say(550, "CWD in")
}
