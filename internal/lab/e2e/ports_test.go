package e2e

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
)

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
