package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
)

// The nine promises of a pinhole, each with real packets, with an owned table
// and with a plain one.

// Promise 1: a pinhole exists before the line that announces it leaves.
func TestPinholeIsThereBeforeItsLine(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", table)
		for _, at := range []string{gateway4, gateway6} {
			c := login(t, l.Client, at)
			mode := map[string]string{gateway4: "PASV", gateway6: "EPSV"}[at]
			for i := range 200 { // a pinhole that came a moment later would be missed by some
				if !dial(l.Client, setUp(t, c, mode)) {
					t.Fatalf("%s: dial %d after the reply was refused", mode, i)
				}
			}
		}
	})
}

// Promise 2: one source, one destination address and port. (SYN only: package nft.)
func TestPinholeAdmitsOneSource(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", table)
		for at, mode := range map[string]string{gateway4: "PASV", gateway6: "EPSV"} {
			c := login(t, l.Client, at)
			d := setUp(t, c, mode)
			if dial(l.Client2, d) {
				t.Errorf("%s: another client's connection was admitted", mode)
			}
			next := *d
			next.At = netip.AddrPortFrom(d.At.Addr(), d.At.Port()+1)
			if dial(l.Client, &next) {
				t.Errorf("%s: a connection to the next port was admitted", mode)
			}
			if n := len(g.pinholes()); n != 1 {
				t.Errorf("%s: the strangers left %d pinholes, want 1", mode, n)
			}
			if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
				t.Errorf("%s: the client itself: %v", mode, err)
			}
		}
	})
}

// Promise 3: once. Edges 58 and 62.
func TestPinholeAdmitsOnce(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		first, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer first.Close()
		if dial(l.Client, d) {
			t.Error("a second connection was admitted")
		}
	})
}

// Promise 4: unused, it expires in the kernel; it is renewed while its data
// command waits.
func TestPinholeExpires(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "timeouts.pinhole = \"2s\"\ntimeouts.transfer_start = \"20s\"", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		g.noPinholes()
		if dial(l.Client, d) {
			t.Error("a connection was admitted after the timeout")
		}
		expired := `ftpgate_pinholes_total{mode="PASV",outcome="expired",service="files"}`
		eventually(t, "the expiry is counted", func() bool { return g.metric(expired) == "1" })

		d = setUp(t, c, "PASV")
		if err := c.Send("RETR /zero-1K"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // more than twice the timeout
		defer cancel()
		<-ctx.Done()
		if !dial(l.Client, d) {
			t.Error("the pinhole of an outstanding command was not renewed")
		}
	})
}

// Promise 5: it closes at a final 4xx or 5xx, at the next set-up, at ABOR, at
// REIN, at the session's end. Edges 33, 52, 53, 54, 67.
func TestPinholeCloses(t *testing.T) {
	for _, what := range []struct {
		name string
		do   func(t *testing.T, l *lab.Lab, c *ftpc.Client)
	}{
		{"at a final 550", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { _ = c.Must(5, "RETR /no-such-file") }},
		{"at ABOR", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { _ = c.Must(2, "ABOR") }},
		{"at QUIT", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { _ = c.Must(2, "QUIT") }},
		{"at the client's end", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) { c.Close() }},
		{"at the client's reset", func(t *testing.T, _ *lab.Lab, c *ftpc.Client) {
			if tcp, ok := c.Conn.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			c.Close()
		}},
	} {
		for _, mode := range []string{"PASV", "PORT"} {
			t.Run(what.name+"/"+mode, func(t *testing.T) {
				l := newLab(t)
				startFTPD(t, l)
				g := startGateway(t, l, "", "")
				c := login(t, l.Client, gateway4)
				setUp(t, c, mode)
				if n := len(g.pinholes()); n != 1 {
					t.Fatalf("%d pinholes after %s, want 1", n, mode)
				}
				what.do(t, l, c)
				g.noPinholes()
			})
		}
	}
	t.Run("at the next set-up", func(t *testing.T) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", "")
		c := login(t, l.Client, gateway4)
		old := setUp(t, c, "PASV")
		for _, mode := range []string{"PASV", "PORT", "EPSV", "PORT"} {
			setUp(t, c, mode)
			if list := g.pinholes(); len(list) != 1 {
				t.Fatalf("after %s: %v, want one pinhole", mode, list)
			}
		}
		if dial(l.Client, old) {
			t.Error("the first pinhole is still open")
		}
	})
}

// Promise 6: after kill -9 nothing stays open longer than its timeout, and the
// bytes of a running transfer go on.
func TestKillLeavesNothingOpen(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "timeouts.pinhole = \"1s\"", table)
		idle := login(t, l.Client, gateway4)
		unused := setUp(t, idle, "PASV")
		g.kill()
		if n := len(g.pinholes()); n != 1 {
			t.Errorf("%d pinholes right after the kill, want 1 that expires by itself", n)
		}
		g.noPinholes()
		if dial(l.Client, unused) {
			t.Error("the pinhole was open after its timeout")
		}
		g.start() // adopts the orphan
		if _, err := login(t, l.Client, gateway4).Download(setUp(t, login(t, l.Client, gateway4), "PASV"), "NOOP"); err == nil {
			t.Error("a data command on another session than the set-up's succeeded")
		}
		c := login(t, l.Client, gateway4)
		if _, err := c.Download(setUp(t, c, "PASV"), "RETR /zero-1K"); err != nil {
			t.Errorf("after the restart: %v", err)
		}
	})
}

// Promise 7: data leaves from the address of the control connection, and
// active data comes from port 20. vsftpd, proftpd and pure-ftpd all check the
// first themselves: TestMatrix.
func TestAddressesOfData(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		inside, err := l.Server.Listen("tcp", "10.0.0.5:21")
		if err != nil {
			t.Fatal(err)
		}
		data, err := l.Server.Listen("tcp", "10.0.0.5:50000")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { inside.Close(); data.Close() })
		control, ports := make(chan net.Conn, 2), make(chan string, 2)
		go scriptedServer(inside, control, ports)
		startGateway(t, l, "", table)
		c := login(t, l.Client, gateway4)
		controlConn := <-control

		d := setUp(t, c, "PASV")
		conn, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		atServer, err := data.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer atServer.Close()
		if got, want := host(atServer.RemoteAddr()), host(controlConn.RemoteAddr()); got != want {
			t.Errorf("passive data comes from %v, control from %v", got, want)
		}

		d = setUp(t, c, "PORT")
		announced := parsePort(t, <-ports)
		fromServer, err := l.Server.DialFrom(t.Context(), "tcp", &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 20}, announced.String())
		if err != nil {
			t.Fatal(err)
		}
		defer fromServer.Close()
		atClient, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer atClient.Close()
		if got := atClient.RemoteAddr().String(); got != "198.51.100.1:20" {
			t.Errorf("active data comes from %s, want 198.51.100.1:20", got)
		}
	})
}

// scriptedServer logs a client in, answers PASV with port 50000, and hands out
// its control connections and what PORT told it.
func scriptedServer(l net.Listener, control chan<- net.Conn, ports chan<- string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			_, _ = io.WriteString(conn, "220 scripted\r\n")
			buffer := make([]byte, 512)
			for {
				n, err := conn.Read(buffer)
				if err != nil {
					return
				}
				verb, arg, _ := strings.Cut(strings.TrimSpace(string(buffer[:n])), " ")
				answer := "200 OK"
				switch verb {
				case "USER":
					answer = "230 in"
					control <- conn
				case "PASV":
					answer = "227 Entering Passive Mode (10,0,0,5,195,80)"
				case "PORT":
					ports <- arg
				}
				_, _ = io.WriteString(conn, answer+"\r\n")
			}
		}()
	}
}

func parsePort(t *testing.T, arg string) netip.AddrPort {
	t.Helper()
	var a [4]byte
	var hi, lo byte
	if _, err := fmt.Sscanf(arg, "%d,%d,%d,%d,%d,%d", &a[0], &a[1], &a[2], &a[3], &hi, &lo); err != nil {
		t.Fatalf("PORT %s: %v", arg, err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(a), uint16(hi)<<8|uint16(lo))
}

func host(a net.Addr) netip.Addr { return a.(*net.TCPAddr).AddrPort().Addr().Unmap() }

// Promise 8: ports are picked unpredictably, passive ones are shared by all
// clients, running out answers 425 and counts. Edge 85.
func TestPorts(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, `ports = "61000-61003"`, table)
		seen := map[uint16]bool{}
		for range 4 {
			seen[setUp(t, login(t, l.Client, gateway4), "PASV").At.Port()] = true
		}
		if len(seen) != 4 {
			t.Errorf("four sessions of a client have the ports %v, want four different ones", seen)
		}
		c := login(t, l.Client, gateway4)
		if r, err := c.Do("PASV"); err != nil || r.Code != 425 {
			t.Errorf("the fifth PASV is answered %v, %v, want 425", r, err)
		}
		if v := g.metric(`ftpgate_ports_exhausted_total{service="files"}`); v != "1" {
			t.Errorf("ports exhausted: %q, want 1", v)
		}
		if v := g.metric(`ftpgate_ports_in_use{service="files"}`); v != "4" {
			t.Errorf("ports in use: %q, want 4", v)
		}
		other := login(t, l.Client2, gateway4)
		if d := setUp(t, other, "PASV"); !seen[d.At.Port()] || !dial(l.Client2, d) {
			t.Errorf("another client cannot share the ports: %v", d.At)
		}
		if err := c.Must(2, "NOOP"); err != nil {
			t.Errorf("the refused session: %v", err)
		}
	})
	t.Run("unpredictable", func(t *testing.T) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", "")
		c := login(t, l.Client, gateway4)
		neighbours, last := 0, uint16(0)
		for range 64 {
			port := setUp(t, c, "PASV").At.Port()
			if port-last+8 < 17 { // within 8 of the one before
				neighbours++
			}
			last = port
		}
		if neighbours > 4 { // of 4000 ports, one in 235 is that near by chance
			t.Errorf("%d of 64 ports lie beside the one before", neighbours)
		}
	})
}

// Promise 9: nft list table names session and service at each element.
func TestComments(t *testing.T) {
	tree := labtest.Tree(t)
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		startGateway(t, l, "", table)
		setUp(t, login(t, l.Client, gateway4), "PASV")
		setUp(t, login(t, l.Client, gateway4), "PORT")
		setUp(t, login(t, l.Client, gateway6), "EPSV")
		setUp(t, login(t, l.Client, gateway6), "EPRT")
		out, err := nftList(t, tree, l)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		for _, form := range []string{`comment "files/\d+ passive"`, `comment "files/\d+ active"`} {
			if n := len(regexp.MustCompile(form).FindAllString(out, -1)); n < 2 { // one of each family
				t.Errorf("nft list has %d elements with %s, want 2 or more:\n%s", n, form, out)
			}
		}
	})
}

func nftList(t *testing.T, tree *debian.Tree, l *lab.Lab) (string, error) {
	t.Helper()
	out, err := tree.Command(t.Context(), l.Gateway, nil, "nft", "list", "table", "inet", "ftpgate").CombinedOutput()
	return string(out), err
}

// SIGTERM stops accepting, lets a running transfer end, closes what is open
// and leaves the table, empty.
func TestTerminate(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", table)
		idle := login(t, l.Client, gateway4)
		setUp(t, idle, "PASV")
		busy := login(t, l.Client, gateway4)
		d := setUp(t, busy, "PASV")
		if err := busy.Send("RETR /zero-64M"); err != nil {
			t.Fatal(err)
		}
		conn, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := busy.Expect(1); err != nil {
			t.Fatal(err)
		}
		g.signal(syscall.SIGTERM)
		if r, err := idle.Read(); err != nil || r.Code != 421 {
			t.Errorf("the idle session got %v, %v, want 421", r, err)
		}
		eventually(t, "new connections are refused", func() bool {
			c, err := ftpc.Dial(l.Client, gateway4)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		n, err := io.Copy(io.Discard, conn)
		if err != nil || n != 64<<20 {
			t.Errorf("the running transfer ended after %d bytes: %v", n, err)
		}
		if _, err := busy.Expect(2); err != nil {
			t.Errorf("the running transfer: %v", err)
		}
		if err := g.cmd.Wait(); err != nil {
			t.Errorf("the daemon's end: %v", err)
		}
		if list := g.pinholes(); len(list) != 0 {
			t.Errorf("left open: %v", list)
		}
	})
}
