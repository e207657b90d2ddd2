package proxy

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Both control connections notice a dead peer and keep urgent bytes in place.
func TestSocketOptions(t *testing.T) {
	s := newGateway(t).loggedIn().session()
	tests := []struct {
		name                string
		level, option, want int
	}{
		{"SO_KEEPALIVE", unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{"TCP_KEEPIDLE", unix.SOL_TCP, unix.TCP_KEEPIDLE, 60},
		{"TCP_KEEPINTVL", unix.SOL_TCP, unix.TCP_KEEPINTVL, 15},
		{"TCP_KEEPCNT", unix.SOL_TCP, unix.TCP_KEEPCNT, 4},
		{"TCP_USER_TIMEOUT", unix.SOL_TCP, unix.TCP_USER_TIMEOUT, 60000},
		{"TCP_NODELAY", unix.SOL_TCP, unix.TCP_NODELAY, 1},
		{"SO_OOBINLINE", unix.SOL_SOCKET, unix.SO_OOBINLINE, 1},
		{"SO_PROTOCOL", unix.SOL_SOCKET, unix.SO_PROTOCOL, unix.IPPROTO_TCP},
	}
	for leg, conn := range map[string]*net.TCPConn{"client": s.clientConn.TCPConn, "server": s.serverConn.TCPConn} {
		for _, tt := range tests {
			got, err := option(conn, func(fd int) (int, error) { return unix.GetsockoptInt(fd, tt.level, tt.option) })
			if err != nil || got != tt.want {
				t.Errorf("%s of the %s's connection: %v, %v; want %v", tt.name, leg, got, err, tt.want)
			}
		}
	}
}

// Telnet's Synch before ABOR (RFC 959 §4.1.3) has an urgent byte. Clients make
// either the IAC or the DM the urgent one; the server is to hear ABOR.
func TestUrgentAbor(t *testing.T) {
	const iac, ip, dm = "\xff", "\xf4", "\xf2"
	for name, synch := range map[string]struct{ urgent, after string }{
		"IAC is urgent": {iac + ip + iac, dm},
		"DM is urgent":  {iac + ip + iac + dm, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t).loggedIn()
			d.passive()
			d.command("RETR a")
			d.reply("150 here it comes")
			_, err := option(d.client.TCPConn, func(fd int) (int, error) {
				return unix.SendmsgN(fd, []byte(synch.urgent), nil, nil, unix.MSG_OOB)
			})
			if err != nil {
				t.Fatal(err)
			}
			d.client.write(synch.after + "ABOR\r\n")
			d.server.want("ABOR")
			d.reply("426 aborted", "226 abort successful")
			d.command("NOOP")
			d.reply("200 in step")
			if n := d.firewall.open(); n != 0 {
				t.Errorf("%d pinholes are open", n)
			}
		})
	}
}

// An address that is elsewhere for now can be listened on.
func TestListenOnAnAddressThatIsNotOurs(t *testing.T) {
	for _, at := range []string{"192.0.2.77:0", "[2001:db8::77]:0"} {
		l, err := listen(netip.MustParseAddrPort(at))
		if err != nil {
			t.Errorf("listen on %s: %v", at, err)
			continue
		}
		l.Close()
	}
}

func TestPortIsTaken(t *testing.T) {
	taken := addrPort(listenTCP(t, gatewayAddr+":0").Addr())
	_, err := listen(taken)
	if err == nil {
		t.Fatal("listening on a taken port succeeded")
	}
	name, e := os.ReadFile("/proc/self/comm")
	if e != nil {
		t.Fatal(e)
	}
	for _, want := range []string{taken.String(), "taken by " + strings.TrimSpace(string(name)), "(pid "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error %q does not say %q", err, want)
		}
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// However sessions end, their descriptors come back.
func TestDescriptorsComeBack(t *testing.T) {
	g := newGateway(t)
	before := descriptors(t)
	for range 25 {
		d := g.loggedIn()
		d.passive()
		d.leave()
		d = g.greeted()
		d.server.Close()
		d.client.want(serverGone)
		d.client.Close()
		g.wantEnded(serverClosed)
		d = g.connect()
		d.client.reset()
		d.server.wantGone()
		d.server.Close()
		g.wantEnded(broken)
	}
	g.eventually("the descriptors are back", func() bool { return descriptors(t) <= before })
}
