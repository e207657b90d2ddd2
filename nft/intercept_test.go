package nft_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/nft"
)

// In these tests the lab is used from the inside: its server is the client that
// dials out, its client a server on the Internet that knows no way inside.

// ftpPort is what is intercepted.
const ftpPort = 2100

// out is an Intercept of what the inside dials, to a listener.
func (a family) out(to ...net.Listener) nft.Intercept {
	in := nft.Intercept{
		From:       []netip.Prefix{netip.PrefixFrom(a.servers, a.servers.BitLen()-8)},
		Interfaces: []string{lab.LanLink},
		Ports:      []uint16{ftpPort},
	}
	for _, ln := range to {
		in.To = append(in.To, addrOf(ln.Addr()))
	}
	return in
}

// network is one that only the gateway knows: it is behind the lab's client.
func (a family) network() netip.Addr {
	if a.wan.Is4() {
		return netip.MustParseAddr("203.0.113.9")
	}
	return netip.MustParseAddr("2001:db8:9::9")
}

func (s *scene) setIntercept(table *nft.Table, in ...nft.Intercept) {
	s.Helper()
	if err := table.SetIntercept(in); err != nil {
		s.Fatal(err)
	}
}

// originalDst asks the kernel what the other side of an accepted connection dialled.
func (s *scene) originalDst(c net.Conn) netip.AddrPort {
	s.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		s.Fatal(err)
	}
	six := addrOf(c.LocalAddr()).Addr().Is6()
	var at netip.AddrPort
	var asked error
	err = raw.Control(func(fd uintptr) {
		const ip6tSOOriginalDst = 80
		if six {
			var info *unix.IPv6MTUInfo // begins with a struct sockaddr_in6
			if info, asked = unix.GetsockoptIPv6MTUInfo(int(fd), unix.SOL_IPV6, ip6tSOOriginalDst); asked == nil {
				port := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, info.Addr.Port))
				at = netip.AddrPortFrom(netip.AddrFrom16(info.Addr.Addr), port)
			}
			return
		}
		var req *unix.IPv6Mreq // as large as a struct sockaddr_in
		if req, asked = unix.GetsockoptIPv6Mreq(int(fd), unix.SOL_IP, unix.SO_ORIGINAL_DST); asked == nil {
			b := req.Multiaddr
			at = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), binary.BigEndian.Uint16(b[2:]))
		}
	})
	if err = errors.Join(err, asked); err != nil {
		s.Fatal(err)
	}
	return at
}

// intercepted dials, accepts at the listener, and checks what the listener learns.
func (s *scene) intercepted(from *lab.Host, source netip.Addr, at netip.AddrPort, ln net.Listener) {
	s.Helper()
	tr := s.pass(from, at, ln)
	tr.wantSource(source, 0)
	if got := s.originalDst(tr.accepted); got != at {
		s.Errorf("the listener learns that %v was dialled, not %v", got, at)
	}
}

func TestIntercept(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		specific, any := s.listen(s.Gateway, a.lan), s.listen(s.Gateway, netip.IPv6Unspecified())
		abroad := netip.AddrPortFrom(a.client, ftpPort)
		direct, err := s.Client.Listen("tcp", abroad.String())
		if err != nil {
			t.Fatal(err)
		}
		defer direct.Close()
		s.masquerade()
		defer s.nft("delete table inet admin")
		for _, ln := range []net.Listener{specific, any} {
			s.setIntercept(table, a.out(ln))
			s.intercepted(s.Server, a.servers, abroad, ln)
			s.wantMarked(abroad)
			s.forget(a)
		}
		other := netip.AddrPortFrom(a.client, ftpPort+1)
		elsewhere, err := s.Client.Listen("tcp", other.String())
		if err != nil {
			t.Fatal(err)
		}
		defer elsewhere.Close()
		s.pass(s.Server, other, elsewhere)        // another port
		s.pass(s.Gateway, abroad, direct)         // the gateway itself
		own := netip.AddrPortFrom(a.lan, ftpPort) // something else of the gateway's
		ours, err := s.Gateway.Listen("tcp", own.String())
		if err != nil {
			t.Fatal(err)
		}
		defer ours.Close()
		s.pass(s.Server, own, ours)
		s.wantMarked()
		s.setIntercept(table)
		s.pass(s.Server, abroad, direct)
		if left := s.nft("list table inet ftpgate"); strings.Contains(left, "intercept1") {
			t.Errorf("left behind:\n%s", left)
		}
	})
}

// masquerade is an admin's nat for everything that leaves, in both directions.
func (s *scene) masquerade() {
	s.Helper()
	s.nft("add table inet admin; add chain inet admin post { type nat hook postrouting priority srcnat; };" +
		"add rule inet admin post masquerade")
}

func TestInterceptSelects(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Gateway, a.lan)
		abroad := netip.AddrPortFrom(a.client, ftpPort)
		direct, err := s.Client.Listen("tcp", abroad.String())
		if err != nil {
			t.Fatal(err)
		}
		defer direct.Close()
		s.masquerade()
		defer s.nft("delete table inet admin")
		host := func(x netip.Addr) netip.Prefix { return netip.PrefixFrom(x, x.BitLen()) }
		all := netip.PrefixFrom(a.network(), 0)
		for name, c := range map[string]struct {
			change func(*nft.Intercept)
			want   bool
		}{
			"this host":            {func(in *nft.Intercept) { in.From = []netip.Prefix{host(a.servers)} }, true},
			"everybody":            {func(in *nft.Intercept) { in.From = []netip.Prefix{all} }, true},
			"overlapping prefixes": {func(in *nft.Intercept) { in.From = append(in.From, host(a.servers), in.From[0]) }, true},
			"touching prefixes": {func(in *nft.Intercept) {
				in.From = []netip.Prefix{host(a.servers), host(a.servers.Next()), host(a.servers.Prev())}
			}, true},
			"the host before":        {func(in *nft.Intercept) { in.From = []netip.Prefix{host(a.servers.Prev())} }, false},
			"the host behind":        {func(in *nft.Intercept) { in.From = []netip.Prefix{host(a.servers.Next())} }, false},
			"but not this source":    {func(in *nft.Intercept) { in.Except = []netip.Prefix{host(a.servers)} }, false},
			"but not to there":       {func(in *nft.Intercept) { in.Except = []netip.Prefix{host(a.client)} }, false},
			"but not from elsewhere": {func(in *nft.Intercept) { in.Except = []netip.Prefix{host(a.network())} }, true},
			"any interface":          {func(in *nft.Intercept) { in.Interfaces = nil }, true},
			"one of many interfaces": {func(in *nft.Intercept) { in.Interfaces = []string{"dmz0", lab.LanLink, "br-0123456789ab"} }, true},
			"another interface":      {func(in *nft.Intercept) { in.Interfaces = []string{lab.WanLink, "la", "lan0"} }, false},
			"one of many ports":      {func(in *nft.Intercept) { in.Ports = []uint16{65535, ftpPort, 1, ftpPort} }, true},
			"other ports":            {func(in *nft.Intercept) { in.Ports = []uint16{ftpPort + 1, ftpPort - 1} }, false},
		} {
			s.Run(name, func(t *testing.T) {
				s := &scene{s.Lab, t, s.without}
				in := a.out(ln)
				c.change(&in)
				s.setIntercept(table, in)
				if c.want {
					s.intercepted(s.Server, a.servers, abroad, ln)
				} else {
					s.pass(s.Server, abroad, direct)
				}
				if err := table.Intact(); err != nil {
					t.Error(err)
				}
			})
		}
		s.setIntercept(table)
	})
}

// Both families and several services at once, over a reinstallation and until the
// Table is released.
func TestInterceptSeveral(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		wide := s.listen(s.Gateway, netip.IPv6Unspecified())
		second := s.listen(s.Gateway, v4.lan)
		mixed := v4.out(wide)
		mixed.From = append(mixed.From, v6.out().From...)
		mixed.Except = []netip.Prefix{netip.PrefixFrom(v4.network(), 32), netip.PrefixFrom(v6.network(), 128)}
		other := v4.out(second)
		other.Ports = []uint16{ftpPort + 1}
		control := netip.AddrPortFrom(v4.wan, 21)
		if err := table.SetListen([]netip.AddrPort{control}); err != nil {
			s.Fatal(err)
		}
		s.setIntercept(table, mixed, other)
		check := func() {
			s.Helper()
			s.intercepted(s.Server, v4.servers, netip.AddrPortFrom(v4.client, ftpPort), wide)
			s.intercepted(s.Server, v6.servers, netip.AddrPortFrom(v6.client, ftpPort), wide)
			s.intercepted(s.Server, v4.servers, netip.AddrPortFrom(v4.client, ftpPort+1), second)
		}
		check()
		for _, damage := range []string{"flush ruleset", "flush chain inet ftpgate intercept", "flush set inet ftpgate intercept1_from4"} {
			before := table.Reinstalls()
			ctx, stop := context.WithCancel(s.Context())
			watched := make(chan error)
			go func() { watched <- table.Watch(ctx) }()
			s.nft(damage)
			s.until("the table is back", func() bool { return table.Reinstalls() > before })
			stop()
			if err := <-watched; err != nil {
				s.Error(err)
			}
			check()
		}
		if out := s.nft("list set inet ftpgate listen4"); !strings.Contains(out, "198.51.100.1 . 21") ||
			!strings.Contains(out, addrPair(addrOf(second.Addr()))) {
			s.Errorf("not all listeners are marked:\n%s", out)
		}
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		if out := s.nft("list table inet ftpgate"); strings.Contains(out, "elements") || strings.Contains(out, "intercept1") {
			s.Errorf("left behind:\n%s", out)
		}
	})
}

// addrPair is an address and port as nft prints them in a set.
func addrPair(ap netip.AddrPort) string {
	return strings.ReplaceAll(ap.String(), ":", " . ")
}
