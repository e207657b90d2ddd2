package nft_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/nft"
)

const (
	routeMark  = 0x800
	routeTable = 21421
)

// tryTransparent dials from the gateway with the client's address as the source.
func (s *scene) tryTransparent(a family, to netip.AddrPort, patience time.Duration) (c net.Conn, err error) {
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(a.client, 0)), FallbackDelay: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			var opt error
			err := raw.Control(func(fd uintptr) {
				if a.client.Is4() {
					opt = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1)
				} else {
					opt = unix.SetsockoptInt(int(fd), unix.SOL_IPV6, unix.IPV6_TRANSPARENT, 1)
				}
			})
			return errors.Join(err, opt)
		}}
	err = errors.Join(s.Gateway.Do(func() error {
		c, err = d.DialContext(ctx, "tcp", to.String())
		return nil
	}), err)
	return c, err
}

// transparent checks that a server sees the client and that its answers come home.
func (s *scene) transparent(a family, ln net.Listener) transfer {
	s.Helper()
	c, err := s.tryTransparent(a, addrOf(ln.Addr()), 5*time.Second)
	if err != nil {
		s.Fatalf("dial %v from %v: %v", ln.Addr(), a.client, err)
	}
	s.Cleanup(func() { c.Close() })
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
	accepted, err := ln.Accept()
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { accepted.Close() })
	tr := transfer{s, c, accepted}
	tr.move()
	tr.wantSource(a.client, 0)
	return tr
}

// astray checks that answers to the client's address do not come home.
func (s *scene) astray(a family, ln net.Listener, why string) {
	s.Helper()
	if c, err := s.tryTransparent(a, addrOf(ln.Addr()), 300*time.Millisecond); err == nil {
		c.Close()
		s.Errorf("%s: a connection from %v", why, a.client)
	}
}

func (s *scene) setTransparent(table *nft.Table, mark uint32) {
	s.Helper()
	if err := table.SetTransparent(mark); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) returnRoute(set func(uint32, int) error) error {
	return s.Gateway.Do(func() error { return set(routeMark, routeTable) })
}

func (s *scene) addReturnRoute() {
	s.Helper()
	if err := s.returnRoute(nft.AddReturnRoute); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) sysctl(key, value string) {
	s.Helper()
	if err := s.Gateway.Sysctl(key, value); err != nil {
		s.Fatal(err)
	}
}

func TestTransparent(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		s.astray(a, ln, "without route and mark")
		s.addReturnRoute()
		s.astray(a, ln, "without a mark")
		s.setTransparent(table, routeMark)
		tr := s.transparent(a, ln)

		// Data of the same client is the kernel's, and keeps the client's source.
		p := a.passive(61000, ln)
		p.Source = netip.AddrPort{}
		s.mustOpen(table, p)
		s.pass(s.Client, p.At, ln).wantSource(a.client, 0)
		out := s.listen(s.Client, a.client)
		active := a.active(20000, out)
		s.mustOpen(table, active)
		s.pass(s.Server, active.At, out).wantSource(a.wan, 20)
		if err := table.Intact(); err != nil {
			t.Error(err)
		}

		s.setTransparent(table, 0)
		s.astray(a, ln, "the mark is gone")
		s.setTransparent(table, routeMark)
		tr.move() // heard again
		if err := s.returnRoute(nft.RemoveReturnRoute); err != nil {
			t.Error(err)
		}
		s.astray(a, ln, "the route is gone")
		s.setTransparent(table, 0)
	})
}

// Beside an admin's masquerade of everything, with bits of the mark in use.
func TestTransparentBesideOthers(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		s.addReturnRoute()
		s.setTransparent(table, routeMark)
		s.masquerade()
		defer s.nft("delete table inet admin")
		s.nft("add chain inet admin pre { type filter hook prerouting priority -200; };" +
			"add rule inet admin pre meta mark set 0x00ff0000;" +
			"add chain inet admin in { type filter hook input priority 0; };" +
			"add rule inet admin in meta mark 0x00ff0800 counter")
		s.transparent(a, s.listen(s.Server, a.servers))
		if out := s.nft("list chain inet admin in"); strings.Contains(out, "packets 0 ") {
			t.Errorf("the bits of others went:\n%s", out)
		}
		s.setTransparent(table, 0)
	})
}

// Reverse path filtering, whether it takes the mark into account (as wg-quick makes
// it) or not, does not keep answers from coming home.
func TestTransparentAndReversePathFilter(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.addReturnRoute()
		s.setTransparent(table, routeMark)
		for _, mark := range []string{"0", "1"} {
			s.sysctl("net.ipv4.conf.all.src_valid_mark", mark)
			for _, filter := range []string{"0", "1", "2"} {
				for _, link := range []string{"all", lab.WanLink, lab.LanLink} {
					s.sysctl(fmt.Sprintf("net.ipv4.conf.%s.rp_filter", link), filter)
				}
				for _, a := range both {
					s.transparent(a, s.listen(s.Server, a.servers))
				}
			}
		}
	})
}

func TestTransparentAfterReinstall(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		s.addReturnRoute()
		s.setTransparent(table, routeMark)
		s.watch(table)
		ln := s.listen(s.Server, v4.servers)
		tr := s.transparent(v4, ln)
		for i, damage := range []string{"flush chain inet ftpgate divert", "flush ruleset"} {
			s.nft(damage)
			s.until("the table is back", func() bool { return table.Reinstalls() > uint64(i) })
			tr.move()
			s.transparent(v4, ln)
		}
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		if out := s.nft("list table inet ftpgate"); strings.Contains(out, "divert") || strings.Contains(out, "stay") {
			s.Errorf("left behind:\n%s", out)
		}
	})
}
