package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
)

// heedless is an FTP server whose data connections go on when their control
// connection has ended.
type heedless struct {
	t     *testing.T
	lab   *lab.Lab
	mu    sync.Mutex
	conns []net.Conn
	moved map[string]int64 // bytes of data connections, by the file
	ended map[string]bool
}

func startHeedless(t *testing.T, l *lab.Lab) *heedless {
	t.Helper()
	h := &heedless{t: t, lab: l, moved: map[string]int64{}, ended: map[string]bool{}}
	listener, err := l.Server.Listen("tcp", "10.0.0.5:21")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		listener.Close()
		h.mu.Lock()
		for _, c := range h.conns {
			c.Close()
		}
		h.mu.Unlock()
		running.Wait()
	})
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			h.keep(conn)
			running.Go(func() { h.serve(conn, &running) })
		}
	})
	return h
}

func (h *heedless) keep(c net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, c)
}

// serve talks to one client. PASV's listener is good for one transfer.
func (h *heedless) serve(conn net.Conn, running *sync.WaitGroup) {
	defer conn.Close()
	var passive net.Listener
	fmt.Fprint(conn, "220 ready\r\n")
	for in := bufio.NewScanner(conn); in.Scan(); {
		verb, file, _ := strings.Cut(in.Text(), " ")
		switch verb {
		case "USER":
			fmt.Fprint(conn, "331 password\r\n")
		case "PASS":
			fmt.Fprint(conn, "230 in\r\n")
		case "PASV":
			var err error
			if passive, err = h.lab.Server.Listen("tcp", "10.0.0.5:0"); err != nil {
				h.t.Error(err)
				return
			}
			port := addrPort(passive.Addr()).Port()
			fmt.Fprintf(conn, "227 there (10,0,0,5,%d,%d)\r\n", port>>8, port&0xff)
		case "RETR", "STOR":
			fmt.Fprint(conn, "150 go\r\n")
			running.Go(func() { h.carry(passive, file, verb == "RETR") })
		case "QUIT":
			fmt.Fprint(conn, "221 bye, and your data goes on\r\n")
			return
		}
	}
}

// carry sends or receives until that ends.
func (h *heedless) carry(passive net.Listener, file string, down bool) {
	defer passive.Close()
	data, err := passive.Accept()
	if err != nil {
		h.t.Error(err)
		return
	}
	h.keep(data)
	defer data.Close()
	for piece := make([]byte, 64<<10); err == nil; {
		var n int
		if down {
			n, err = data.Write(piece)
		} else {
			n, err = data.Read(piece)
		}
		h.mu.Lock()
		h.moved[file] += int64(n)
		h.mu.Unlock()
	}
	h.mu.Lock()
	h.ended[file] = true
	h.mu.Unlock()
}

// has is what has become of the data of a file.
func (h *heedless) has(file string) (moved int64, ended bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.moved[file], h.ended[file]
}

// outlived is a transfer whose session ends in the middle of it.
type outlived struct {
	service string
	port    int
	cut     bool
	verb    string
	quit    bool
}

// What outlives its session failed, with the bytes until then. With cut it does
// not outlive it.
func TestTransfersThatOutliveTheirSession(t *testing.T) {
	t.Parallel()
	l := labtest.New(t, lab.Options{})
	h := startHeedless(t, l)
	r := newRecords(t)
	config := r.config()
	var all []outlived
	for i, keys := range []string{"", "cut = true", "data = \"relay\"", "data = \"relay\"\ncut = true"} {
		o := outlived{service: fmt.Sprintf("s%d", i), port: 2100 + i, cut: strings.Contains(keys, "cut")}
		config += fmt.Sprintf("[[service]]\nname = %q\nlisten = [\"198.51.100.1:%d\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n%s\n", o.service, o.port, keys)
		for _, o.verb = range []string{"RETR", "STOR"} {
			for _, o.quit = range []bool{false, true} {
				all = append(all, o)
			}
		}
	}
	g := prepareGateway(t, l, config)
	g.start()
	var running sync.WaitGroup
	for _, o := range all {
		running.Go(func() {
			t.Run(fmt.Sprintf("%s/cut=%t/%s/quit=%t", o.service, o.cut, o.verb, o.quit), func(t *testing.T) { o.happens(t, g, h, r) })
		})
	}
	running.Wait()
	if n := len(audited(t, "transfer", r.json)); n != len(all) {
		t.Errorf("%d transfers are recorded, want %d", n, len(all))
	}
}

// little is what has moved when the session ends, much is more than all buffers
// on the way hold.
const (
	little = 1 << 20
	much   = 64 << 20
)

func (o outlived) happens(t *testing.T, g *gateway, h *heedless, r records) {
	w := &onlooker{Host: g.lab.Client}
	c := login(t, w, fmt.Sprintf("198.51.100.1:%d", o.port))
	d, file := setUp(t, c, "PASV"), t.Name()
	if err := c.Send(o.verb + " " + file); err != nil {
		t.Fatal(err)
	}
	data, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer data.Close()
	if _, err := c.Expect(1); err != nil {
		t.Fatal(err)
	}
	move := func(n int64) error {
		_ = data.SetDeadline(time.Now().Add(c.Timeout))
		if o.verb == "RETR" {
			_, err := io.CopyN(io.Discard, data, n)
			return err
		}
		for piece := make([]byte, 64<<10); n > 0; n -= int64(len(piece)) {
			if _, err := data.Write(piece); err != nil {
				return err
			}
		}
		return nil
	}
	if err := move(little); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all of it has come through", func() bool { n, _ := h.has(file); return n >= little })
	o.leave(t, c)

	var record line
	eventually(t, "the transfer is recorded", func() bool {
		all := audited(t, "transfer", r.json)
		i := slices.IndexFunc(all, func(l line) bool { return l.Path == file })
		if i >= 0 {
			record = all[i]
		}
		return i >= 0
	})
	least := uint64(little)
	if record.Relayed && !o.cut {
		least = little / 2 // what is spliced is counted a bit later
	}
	if record.Client != addrPort(c.Conn.LocalAddr()) || record.Outcome != "failed" || record.Cause != "aborted" || record.Bytes == nil || *record.Bytes < least || record.ClientData != w.last() ||
		record.Source != map[bool]string{false: "conntrack", true: "exact"}[record.Relayed] || !strings.HasPrefix(record.Detail, "The client ended the session") {
		t.Errorf("the record is %+v", record)
	}
	err = move(much)
	if !o.cut {
		if err != nil {
			t.Errorf("the data connection did not go on: %v", err)
		}
		return
	}
	if err == nil { // a receiver may hear nothing until it asks, as TCP does after a while
		t.Error("the data connection went on")
	}
	for _, f := range g.flows() {
		if record.ClientData == (pair{f.Orig.Src, f.Orig.Dst}) && !f.State.Over() { // one of the relay ends by itself
			t.Errorf("conntrack has %v", f)
		}
	}
	if o.verb == "STOR" && !record.Relayed {
		return // who only receives hears nothing, until it asks
	}
	eventually(t, "the server's data connection has ended", func() bool { _, ended := h.has(file); return ended })
}

// leave ends the session.
func (o outlived) leave(t *testing.T, c *ftpc.Client) {
	if o.quit {
		if err := c.Must(2, "QUIT"); err != nil {
			t.Error(err)
		}
	}
	c.Close()
}
