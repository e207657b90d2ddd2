package nft_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/nft"
)

// dropAll is an admin's firewall that drops what it does not know, and counts it.
func (s *scene) dropAll() {
	s.Helper()
	s.nft("add table inet admin")
	for _, hook := range []string{"input", "forward"} {
		s.nft("add chain inet admin " + hook + " { type filter hook " + hook + " priority 0; policy drop; };" +
			"add rule inet admin " + hook + " meta l4proto icmpv6 accept;" + // neighbour discovery
			"add rule inet admin " + hook + " counter")
	}
}

// dropped reports whether the admin's chain has dropped something since its
// counter was reset.
func (s *scene) dropped(chain string) bool {
	s.Helper()
	return !strings.Contains(s.nft("list chain inet admin "+chain), "counter packets 0 bytes 0")
}

func TestOneAcceptRuleIsEnough(t *testing.T) {
	eachKernel(t, func(s *scene) {
		control4, control6 := s.listen(s.Gateway, v4.wan), s.listen(s.Gateway, v6.wan)
		table := s.open(nft.Config{Listen: []netip.AddrPort{addrOf(control4.Addr()), addrOf(control6.Addr())}})
		s.dropAll()
		for _, hook := range []string{"input", "forward"} {
			s.nft("insert rule inet admin " + hook + ` ct mark & 0x00000400 == 0x00000400 counter accept comment "ftpgate"`)
		}
		for i, a := range both {
			control := []net.Listener{control4, control6}[i]
			s.pass(s.Client, addrOf(control.Addr()), control).wantSource(a.client, 0)

			ln := s.listen(s.Server, a.servers)
			p := a.passive(61000, ln)
			s.mustOpen(table, p)
			s.pass(s.Client, p.At, ln)

			out := s.listen(s.Client, a.client)
			p = a.active(20000, out)
			s.mustOpen(table, p)
			s.pass(s.Server, p.At, out).wantSource(a.wan, 20)

			s.setPass(table, v4.declare(), v6.declare())
			s.mustOpen(table, a.through(4))
			s.pass(s.Client, a.door(0), s.backends(a)[0])

			relay := s.listen(s.Gateway, a.lan) // as a relay would listen, on the gateway itself
			p = a.passive(61001, relay)
			s.mustOpen(table, p)
			s.pass(s.Client, p.At, relay)
		}
		if s.dropped("forward") {
			s.Error("the rule does not accept all forwarded packets of the transfers")
		}
		other := s.listen(s.Gateway, v4.wan)
		s.swallowed(s.Client, addrOf(other.Addr()), "input")
	})
}

// swallowed dials until the admin's chain has dropped the SYN.
func (s *scene) swallowed(from *lab.Host, at netip.AddrPort, chain string) {
	s.Helper()
	ctx, cancel := context.WithCancel(s.Context())
	dialled := make(chan error)
	go func() {
		c, err := from.Dial(ctx, "tcp", at.String())
		if err == nil {
			c.Close()
		}
		dialled <- err
	}()
	s.until("the firewall drops the SYN to "+at.String(), func() bool { return s.dropped(chain) })
	cancel()
	if err := <-dialled; err == nil {
		s.Errorf("%s reached %v through a firewall that drops", from.Name, at)
	}
}

func TestDroppedSYNDoesNotConsume(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		s.dropAll()
		s.swallowed(s.Client, p.At, "forward")
		s.wantOpen(table, 1)
		s.nft("delete table inet admin")
		s.pass(s.Client, p.At, ln)
		s.wantOpen(table, 0)
	})
}

func TestOnlyASYNConsumes(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		s.mustOpen(table, p)
		const ack, synAck, finAck = 0x10, 0x12, 0x11
		for _, flags := range []byte{ack, synAck, finAck} {
			s.forge(a, p.At, flags)
			s.wantOpen(table, 1)
		}
		s.pass(s.Client, p.At, ln)
	})
}

// forge sends a TCP segment without a connection from the client, and returns
// when the gateway has answered it with a reset, as one of its own.
func (s *scene) forge(a family, to netip.AddrPort, flags byte) {
	s.Helper()
	const port = 7777
	segment := make([]byte, 20)
	binary.BigEndian.PutUint16(segment[0:], port)
	binary.BigEndian.PutUint16(segment[2:], to.Port())
	binary.BigEndian.PutUint32(segment[4:], 1000)
	binary.BigEndian.PutUint32(segment[8:], 2000)
	segment[12], segment[13] = 5<<4, flags
	binary.BigEndian.PutUint16(segment[14:], 1024)
	binary.BigEndian.PutUint16(segment[16:], checksum(a.client, to.Addr(), segment))

	network := "ip4:tcp"
	if a.client.Is6() {
		network = "ip6:tcp"
	}
	var raw *net.IPConn
	err := s.Client.Do(func() (err error) {
		raw, err = net.DialIP(network, &net.IPAddr{IP: a.client.AsSlice()}, &net.IPAddr{IP: to.Addr().AsSlice()})
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	defer raw.Close()
	raw.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := raw.Write(segment); err != nil {
		s.Fatal(err)
	}
	for {
		answer := make([]byte, 1500)
		n, _, err := raw.ReadFrom(answer) // without the IPv4 header, unlike Read
		if err != nil {
			s.Fatalf("no answer to a segment with flags %#x: %v", flags, err)
		}
		const rst = 4
		if b := answer[:n]; n >= 20 && binary.BigEndian.Uint16(b[2:]) == port && b[13]&rst != 0 {
			return
		}
	}
}

// checksum is that of a TCP segment with its pseudo header (RFC 9293 §3.1,
// https://www.rfc-editor.org/rfc/rfc9293#section-3.1).
func checksum(from, to netip.Addr, segment []byte) uint16 {
	b := append(from.AsSlice(), to.AsSlice()...)
	b = append(b, 0, unix.IPPROTO_TCP, 0, byte(len(segment)))
	b = append(b, segment...)
	sum := uint32(0)
	for ; len(b) > 0; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

func TestSetListen(t *testing.T) {
	eachKernel(t, func(s *scene) {
		first, second, any6 := s.listen(s.Gateway, v4.wan), s.listen(s.Gateway, v4.wan), s.listen(s.Gateway, netip.IPv6Unspecified())
		table := s.open(nft.Config{Listen: []netip.AddrPort{addrOf(first.Addr())}})
		s.pass(s.Client, addrOf(first.Addr()), first)
		s.pass(s.Client, addrOf(second.Addr()), second)
		s.wantMarked(addrOf(first.Addr()))

		if err := table.SetListen([]netip.AddrPort{addrOf(second.Addr()), addrOf(any6.Addr())}); err != nil {
			s.Fatal(err)
		}
		s.forget(v4)
		s.pass(s.Client, addrOf(first.Addr()), first)
		s.pass(s.Client, addrOf(second.Addr()), second)
		at := netip.AddrPortFrom(v6.wan, addrOf(any6.Addr()).Port())
		s.pass(s.Client, at, any6)
		s.pass(s.Gateway, at, any6) // a client on the gateway itself
		s.wantMarked(addrOf(second.Addr()), at, at)
	})
}

// A control listener on an address that is also the target of pinholes: only
// what comes through a pinhole changes its source.
func TestControlConnectionsKeepTheirSource(t *testing.T) {
	eachKernel(t, func(s *scene) {
		for _, a := range both {
			control, ln := s.listen(s.Gateway, a.wan), s.listen(s.Gateway, a.wan)
			table := s.open(nft.Config{Listen: []netip.AddrPort{addrOf(control.Addr())}})
			p := a.passive(61000, ln)
			s.mustOpen(table, p)
			s.pass(s.Client, addrOf(control.Addr()), control).wantSource(a.client, 0)
			s.pass(s.Gateway, addrOf(control.Addr()), control).wantSource(a.wan, 0)
			s.pass(s.Client, p.At, ln).wantSource(a.lan, 0)
			if err := table.Release(); err != nil {
				s.Fatal(err)
			}
		}
	})
}
