package ftpd

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestPortsAside(t *testing.T) {
	s := &Server{Files: NewTree(), ConnectTimeout: 50 * time.Millisecond, Quirks: Quirks{PortsAside: 1}, PassivePorts: [2]uint16{40_010, 40_010}}
	c := login(t, serve(t, s, "127.0.0.1:0"))
	if got := c.say(229, "EPSV"); !strings.Contains(got, "(|||40011|)") {
		t.Errorf("EPSV: %q, want the port beside 40010", got)
	}
	if conn, err := net.Dial("tcp", "127.0.0.1:40011"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("somebody listens there: %v, %v", conn, err)
	}
	c.say(150, "LIST")
	c.want(425) // it has waited long enough
}

func TestStopsAfter(t *testing.T) {
	files := NewTree()
	if err := files.PutZeros("/zeros", 1<<20); err != nil {
		t.Fatal(err)
	}
	c := login(t, serve(t, &Server{Files: files, Quirks: Quirks{StopsAfter: 1000}}, "127.0.0.1:0"))
	open := modes["EPSV"](c)
	c.send("RETR /zeros")
	data := open()
	c.want(150)
	if n, err := io.CopyN(io.Discard, data, 1000); err != nil {
		t.Fatalf("%d bytes: %v", n, err)
	}
	data.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := data.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("then come %d bytes, %v, want nothing and no end", n, err)
	}
	c.say(426, "ABOR")
	c.want(226)
}
