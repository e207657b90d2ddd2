package ftpd

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

func TestPassiveAddressAndPortsAreThoseAskedFor(t *testing.T) {
	first, last := freePorts(t)
	addr := serve(t, &Server{
		Files: NewTree(), Advertise: netip.MustParseAddr("198.51.100.1"), PassivePorts: [2]uint16{first, last},
	}, "127.0.0.1:0")

	one, two, three := login(t, addr), login(t, addr), login(t, addr)
	seen := map[uint16]bool{}
	for _, c := range []*client{one, two} {
		_, numbers, _ := strings.Cut(strings.TrimRight(c.say(227, "PASV"), ")."), "(")
		at, err := parsePort(numbers)
		if err != nil {
			t.Fatal(err)
		}
		if at.Addr().String() != "198.51.100.1" || at.Port() < first || at.Port() > last {
			t.Errorf("got %v, want 198.51.100.1 and a port from %d to %d", at, first, last)
		}
		seen[at.Port()] = true
	}
	if len(seen) != 2 {
		t.Errorf("two sessions have the ports %v, want one each", seen)
	}
	three.say(425, "PASV") // both are taken
	one.say(221, "QUIT")
	two.say(227, "PASV") // a session's own is its to give back
}

// freePorts finds two neighbouring ports on loopback.
func freePorts(t *testing.T) (first, last uint16) {
	t.Helper()
	for range 100 {
		one, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first = one.Addr().(*net.TCPAddr).AddrPort().Port()
		two, err := net.Listen("tcp", netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), first+1).String())
		one.Close()
		if err == nil {
			two.Close()
			return first, first + 1
		}
	}
	t.Fatal("no two neighbouring ports are free")
	return 0, 0
}
