package nft_test

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/nft"
)

// Now and then everything that stays is compared with the kernel, for when nobody
// told of a change.
func TestCheckFindsWhatWasRemoved(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		var log logged
		control := s.listen(s.Gateway, v4.wan)
		table := s.open(nft.Config{
			Listen: []netip.AddrPort{addrOf(control.Addr()), netip.AddrPortFrom(v6.wan, 21), netip.AddrPortFrom(netip.IPv4Unspecified(), 2121)},
			Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		s.relay(table)
		s.setPass(table, v4.declare(), v6.declare())
		s.setIntercept(table, v4.out(control))
		ln := s.listen(s.Server, v4.servers)
		s.mustOpen(table, v4.passive(61000, ln))
		s.mustOpen(table, v6.passive(61000, s.listen(s.Server, v6.servers)))
		check := func(lost bool) uint64 {
			s.Helper()
			before := table.Reinstalls()
			if err := table.Check(lost); err != nil {
				s.Fatal(err)
			}
			return table.Reinstalls() - before
		}
		for range 2 {
			if n := check(false) + check(true); n != 0 {
				s.Fatalf("%d reinstallations of what is whole:\n%s", n, log.String())
			}
		}
		for _, set := range []string{"set listen4", "set listen6", "set listenport", "set relayport", "map out4", "map out6",
			"map passto4", "map passto6", "set intercept1_ports", "set intercept1_from4", "set intercept1_interfaces"} {
			s.nft("flush " + strings.Replace(set, " ", " inet ftpgate ", 1))
			_, set, _ = strings.Cut(set, " ")
			if check(false) != 1 || !strings.Contains(log.String(), "elements of set "+set+" were removed") {
				s.Errorf("set %s flushed and not put back:\n%s", set, log.String())
			}
		}
		for _, set := range []string{"dnat4", "dnat6"} {
			s.nft("flush map inet ftpgate " + set)
			if check(true) != 1 {
				s.Errorf("set %s flushed and not put back:\n%s", set, log.String())
			}
		}
		s.wantOpen(table, 2)
		s.pass(s.Client, netip.AddrPortFrom(v4.wan, 61000), ln)
		if n := check(true); n != 0 {
			s.Errorf("a used pinhole was missed:\n%s", log.String())
		}
	})
}

// Events that the kernel could not deliver are not the end of it.
func TestWatchAfterAnOverflow(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		s.nft("add table ip noise; add set ip noise s { type ipv4_addr; }")
		const each = 5_000
		for n := range 36 {
			var elements []string
			for i := range each {
				elements = append(elements, fmt.Sprintf("10.%d.%d.%d", n, i/250, i%250))
			}
			s.nft("add element ip noise s { " + strings.Join(elements, ",") + " }")
		}
		s.nft("flush map inet ftpgate dnat4") // of which nobody can tell any more
		s.watch(table)
		s.until("the pinhole is back", func() bool { return table.Reinstalls() == 1 })
		s.pass(s.Client, p.At, ln)
	})
}

// Several of them at once, one after the other: a firewall that flushes all and
// comes again finds everything as it was within a second of its last word.
func TestHealsAll(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		s.nft(adminTable)
		s.setAccept(table, "inet admin forward")
		s.addReturnRoute()
		s.setTransparent(table, routeMark)
		control := s.listen(s.Gateway, v4.lan)
		s.setIntercept(table, v4.out(control))
		s.setPass(table, v4.declare())
		s.mustOpen(table, v4.through(2))
		ln := s.listen(s.Server, v4.servers)
		exact, wide := v4.passive(61000, ln), v4.wide(24, 61001, ln)
		s.mustOpen(table, exact)
		s.mustOpen(table, wide)
		s.watch(table)
		for range 3 {
			s.nft("flush ruleset")
			s.nft(adminTable)
		}
		s.until("all is back", func() bool {
			return s.accepted(table) && table.Intact() == nil && strings.Contains(s.nft("list chain inet admin forward"), acceptRule)
		})
		s.wantOpen(table, 3)
		s.pass(s.Client, exact.At, ln)
		s.pass(s.Client2, wide.At, ln)
		s.pass(s.Client, v4.door(0), s.backends(v4)[0])
		s.intercepted(s.Server, v4.servers, netip.AddrPortFrom(v4.client, ftpPort), control)
		s.nft("delete table inet admin")
		s.transparent(v4, ln)
	})
}
