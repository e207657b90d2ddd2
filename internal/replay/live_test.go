package replay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"

	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

// TestRealTraffic captures what a client and a server say to each other through
// a router, and replays it: all four modes, each with a transfer that must be
// seen from its beginning to its end.
func TestRealTraffic(t *testing.T) {
	l := labtest.New(t, lab.Options{Routed: true})
	s := &sniffer{tape: tape{t: t, link: layers.LinkTypeEthernet}}
	s.start(l.Server)
	serveFTP(t, l.Server)
	for _, family := range []struct {
		at    string
		modes []string
	}{
		{netip.AddrPortFrom(lab.ServerV4, 21).String(), []string{"PASV", "EPSV", "PORT", "EPRT"}},
		{netip.AddrPortFrom(lab.ServerV6, 21).String(), []string{"EPSV", "EPRT"}},
	} {
		converse(t, l.Client, family.at, family.modes)
	}
	s.collect()

	got, sum := printed(t, s.tape.pcap(), plain())
	if sum.Sessions != 2 || sum.Done != 12 || sum.Failed+sum.Open != 0 || sum.Pinholes != 12 || sum.Findings() || sum.Missing > 0 || sum.NotSeen > 0 {
		t.Errorf("it was heard as %+v:\n%s", sum, got)
	}
	for _, want := range []string{
		"server 10.0.0.5:21", "server [fd00:10::5]:21", "[2001:db8:1::7]:", ", active\n", ", passive\n", "C: PASS ****\n",
		"opens pinhole 1: 198.51.100.7 -> 198.51.100.1:61000 -> 10.0.0.5:", "opens pinhole 1: 2001:db8:1::7 -> [2001:db8:1::1]:61000 -> [fd00:10::5]:",
		"rewritten to: PORT 10,0,0,1,78,32", "rewritten to: EPRT |2|fd00:10::1|20000|",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
}

// serveFTP runs a server in a host, on both its addresses.
func serveFTP(t *testing.T, host *lab.Host) {
	t.Helper()
	files := ftpd.NewTree()
	files.Put("/a.txt", []byte("some text\n"))
	d := &ftpd.Server{Files: files, Listen: host.Listen, Dial: host.DialFrom, ActiveFrom: 20}
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	for _, addr := range []netip.Addr{lab.ServerV4, lab.ServerV6} {
		ln, err := host.Listen("tcp", netip.AddrPortFrom(addr, 21).String())
		if err != nil {
			t.Fatal(err)
		}
		serving.Go(func() {
			if err := d.Serve(ctx, ln); err != nil {
				t.Errorf("serve: %v", err)
			}
		})
	}
	t.Cleanup(func() { cancel(); serving.Wait() })
}

// converse logs in, and downloads and uploads in each mode.
func converse(t *testing.T, from *lab.Host, at string, modes []string) {
	t.Helper()
	c, err := ftpc.Dial(from, at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
	for _, mode := range modes {
		for _, command := range []string{"RETR a.txt", "STOR b.txt"} {
			if err := transfer(c, mode, command); err != nil {
				t.Fatalf("%s %s: %v", mode, command, err)
			}
		}
	}
	if err := c.Must(2, "QUIT"); err != nil {
		t.Fatal(err)
	}
}

func transfer(c *ftpc.Client, mode, command string) error {
	d, err := c.SetUp(mode)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := c.Send(command); err != nil {
		return err
	}
	conn, err := d.Open()
	if err != nil {
		return err
	}
	if strings.HasPrefix(command, "STOR") {
		_, err = conn.Write([]byte("other text\n"))
	} else {
		_, err = io.Copy(io.Discard, conn)
	}
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	for class := 1; class <= 2; class++ {
		if _, err := c.Expect(class); err != nil {
			return err
		}
	}
	return nil
}

// sniffer has the packets of a host, which are Ethernet's. The kernel keeps
// them until collect.
type sniffer struct {
	tape tape
	fd   int
}

// start listens to all that comes and goes.
func (s *sniffer) start(host *lab.Host) {
	t := s.tape.t
	t.Helper()
	const all = unix.ETH_P_ALL<<8&0xff00 | unix.ETH_P_ALL>>8
	err := host.Do(func() (err error) {
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, all)
		return err
	})
	if err != nil {
		t.Fatalf("open a packet socket: %v", err)
	}
	t.Cleanup(func() { unix.Close(s.fd) })
	if err := unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
		t.Fatal(err)
	}
}

// collect reads what was captured. What a client of ours has received was
// captured before.
func (s *sniffer) collect() {
	t := s.tape.t
	t.Helper()
	b := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(s.fd, b, 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatalf("read packets: %v", err)
		}
		s.tape.packets = append(s.tape.packets, bytes.Clone(b[:n]))
	}
	stats, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil || stats.Drops > 0 {
		t.Fatalf("the kernel has dropped packets of the capture: %v, %+v", err, stats)
	}
}
