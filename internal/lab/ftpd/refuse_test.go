package ftpd

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

func TestLoginIsNeededAndChecked(t *testing.T) {
	c := dial(t, serve(t, &Server{Files: NewTree(), User: "demo", Password: "secret"}, "127.0.0.1:0"))
	c.say(530, "PWD")
	c.say(530, "PASS secret")
	c.say(331, "USER demo")
	c.say(530, "PASS wrong")
	c.say(530, "LIST")
	if got := c.say(211, "FEAT"); !strings.Contains(got, "EPSV") {
		t.Errorf("FEAT %q, want EPSV in it", got)
	}
	c.say(331, "USER demo")
	c.say(230, "PASS secret")
	c.say(257, "PWD")
	c.say(221, "QUIT")
	if _, err := c.text.ReadLine(); err != io.EOF {
		t.Errorf("after QUIT: %v, want %v", err, io.EOF)
	}
}

func TestRefusals(t *testing.T) {
	c := login(t, serve(t, &Server{Files: NewTree()}, "127.0.0.1:0"))
	for _, tt := range []struct {
		name, line string
		code       int
	}{
		{"unknown command", "SITE EXEC", 502},
		{"no data connection agreed", "LIST", 425},
		{"somebody else's address", "PORT 192,0,2,1,10,0", 504},
		{"somebody else's address, extended", "EPRT |1|192.0.2.1|2560|", 504},
		{"five numbers", "PORT 127,0,0,1,10", 501},
		{"number above 255", "PORT 127,0,0,1,256,0", 501},
		{"family and address differ", "EPRT |2|127.0.0.1|2560|", 501},
		{"EPRT without fields", "EPRT", 501},
		{"EPSV of the other family", "EPSV 2", 522},
		{"unknown type", "TYPE E", 504},
		{"block mode", "MODE B", 504},
		{"bad offset", "REST -1", 501},
		{"no such file", "SIZE nothing", 550},
	} {
		t.Run(tt.name, func(t *testing.T) { c.say(tt.code, "%s", tt.line) })
	}
	c.say(200, "EPSV ALL")
	c.say(501, "PASV")
	c.say(501, "PORT 127,0,0,1,10,0")
	c.download("EPSV", "LIST")
}

func TestDataFromAnotherAddressIsRefused(t *testing.T) {
	c := login(t, serve(t, &Server{Files: NewTree()}, "127.0.0.1:0"))
	_, port, _ := strings.Cut(c.say(229, "EPSV"), "|||")
	port, _, _ = strings.Cut(port, "|")
	other := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	conn, err := other.Dial("tcp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c.send("LIST")
	c.want(150)
	if got := c.want(425); !strings.Contains(got, "127.0.0.2") {
		t.Errorf("425 %q, want the address in it", got)
	}
}

func TestAbortEndsTheTransfer(t *testing.T) {
	files := NewTree()
	files.PutZeros("/endless", 1<<40)
	c := login(t, serve(t, &Server{Files: files}, "127.0.0.1:0"))
	for _, abor := range []string{"ABOR", "\xff\xf4\xff\xf2ABOR", "\xff\xf4\xf2ABOR"} {
		open := modes["PASV"](c)
		c.send("RETR /endless")
		conn := open()
		c.want(150)
		if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
			t.Fatal(err)
		}
		c.send("%s", abor)
		c.want(426)
		c.want(226)
		conn.Close()
	}
	c.say(226, "ABOR")
	c.say(227, "PASV") // and nobody dials
	c.send("RETR /endless")
	c.want(150)
	c.send("ABOR")
	c.want(426)
	c.want(226)
}

func TestPipelinedCommandsAreAnsweredInOrder(t *testing.T) {
	files := NewTree()
	files.Put("/a", []byte("a"))
	c := login(t, serve(t, &Server{Files: files}, "127.0.0.1:0"))
	open := modes["PASV"](c)
	c.send("RETR a\r\nPWD\r\nNOOP")
	conn := open()
	defer conn.Close()
	for _, code := range []int{150, 226, 257, 200} {
		c.want(code)
	}
}

func TestServeEndsItsSessions(t *testing.T) {
	files := NewTree()
	files.PutZeros("/endless", 1<<40)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	served := make(chan error, 1)
	go func() { served <- (&Server{Files: files}).Serve(ctx, ln) }()

	idle := login(t, ln.Addr().String())
	busy := login(t, ln.Addr().String())
	open := modes["PASV"](busy)
	busy.send("RETR /endless")
	conn := open()
	defer conn.Close()
	busy.want(150)

	cancel()
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("serve: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the server does not end")
	}
	if line, err := idle.text.ReadLine(); err == nil {
		t.Errorf("an idle session went on: %q", line)
	}
}
