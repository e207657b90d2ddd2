package nft_test

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpgate/nft"
)

// strays returns who missed a pinhole, the latest first.
func (s *scene) strays(table *nft.Table, at netip.AddrPort) []netip.Addr {
	s.Helper()
	strays, err := table.Strays(at)
	if err != nil {
		s.Fatal(err)
	}
	var from []netip.Addr
	for _, stray := range strays {
		if stray.At != at {
			s.Fatalf("asked for %v, got a stray at %v", at, stray.At)
		}
		from = append(from, stray.From)
	}
	return from
}

// noted wants exactly these to be known to have missed a pinhole, the latest
// first, by a new look at what the kernel has.
func (s *scene) noted(table *nft.Table, at netip.AddrPort, want ...netip.Addr) {
	s.Helper()
	table.ForgetStrays()
	if got := s.strays(table, at); !slices.Equal(got, want) {
		s.Fatalf("strays at %v are %v, want %v", at, got, want)
	}
}

// jiffies are a few steps of the kernel's coarse clock for timeouts.
const jiffies = 20 * time.Millisecond

// tick waits until that clock has gone on, so that what follows is later for it.
func (s *scene) tick() {
	s.Helper()
	began := time.Now()
	s.until("the kernel's clock goes on", func() bool { return time.Since(began) > jiffies })
}

func TestStrays(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		free := netip.AddrPortFrom(a.wan, 61001)
		s.mustOpen(table, p)
		before := time.Now()
		s.refuse(s.Client2, free, "nothing was ever open there")
		s.refuse(s.Client2, p.At, "another client")
		s.noted(table, p.At, a.client2)
		s.noted(table, free)

		strays, err := table.Strays(p.At)
		if err != nil || len(strays) != 1 {
			s.Fatalf("strays %v, %v", strays, err)
		}
		if seen := strays[0].Seen; seen.Before(before.Add(-jiffies)) || seen.After(time.Now().Add(jiffies)) {
			s.Errorf("seen at %v, want from %v to now", seen, before)
		}

		s.pass(s.Client, p.At, ln)
		s.noted(table, p.At, a.client2) // who was let in is none
		s.tick()
		s.refuse(s.Client, p.At, "a second connection")
		s.noted(table, p.At, a.client, a.client2)
		s.tick()
		s.refuse(s.Client2, p.At, "another client, again")
		s.noted(table, p.At, a.client2, a.client) // each once, the latest first

		set := map[bool]string{true: "stray4", false: "stray6"}[a.wan.Is4()]
		if out := s.nft("list", "set", "inet", "ftpgate", set); !strings.Contains(out, a.client2.String()+" . "+a.wan.String()+" . 61000") {
			s.Errorf("%s has not the client's SYN:\n%s", set, out)
		}
	})
}

func TestStrayComesLate(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		in, out := s.listen(s.Server, a.servers), s.listen(s.Client, a.client)
		passive, active := a.passive(61000, in), a.active(20000, out)
		passive.Timeout, active.Timeout = 50*time.Millisecond, 50*time.Millisecond
		s.mustOpen(table, passive)
		s.mustOpen(table, active)
		s.until("the kernel expires the pinholes", func() bool { return len(s.list(table)) == 0 })
		s.refuse(s.Client, passive.At, "expired")
		s.refuse(s.Server, active.At, "expired")
		s.noted(table, passive.At, a.client)
		s.noted(table, active.At, a.servers)

		closed := a.passive(61001, in)
		s.mustOpen(table, closed)
		s.mustClose(table, closed)
		s.refuse(s.Client, closed.At, "closed")
		s.noted(table, closed.At, a.client)
	})
}

// A prefix is let in, and who is not in it misses it.
func TestStrayBesidePeers(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		narrow, wide := a.wide(a.narrow(), 61000, ln), a.wide(a.prefix(), 61001, ln)
		s.mustOpen(table, narrow)
		s.mustOpen(table, wide)
		s.refuse(s.Client2, narrow.At, "not in the prefix")
		s.noted(table, narrow.At, a.client2)
		s.pass(s.Client2, wide.At, ln)
		s.noted(table, wide.At)
	})
}

// What this host dials itself is no stray, nor is who comes through a pass, and
// the ports of passes are not watched.
func TestNoStrays(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		s.mustOpen(table, a.through(2))
		s.pass(s.Client, a.door(0), lns[0])
		s.refuse(s.Client2, a.door(0), "another client")
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		p.At = addrOf(ln.Addr()) // as of a client inside
		s.mustOpen(table, p)
		s.pass(s.Gateway, p.At, ln)
		s.mustOpen(table, a.passive(61001, ln))
		s.refuse(s.Client2, netip.AddrPortFrom(a.wan, 61001), "another client")
		s.noted(table, netip.AddrPortFrom(a.wan, 61001), a.client2) // after all of the above
		s.noted(table, p.At)
		s.noted(table, a.door(0))
	})
}

// A pinhole that is renewed for long is watched for as long, and then some.
func TestRenewalKeepsStraysNoted(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		p := a.passive(61000, s.listen(s.Server, a.servers))
		s.mustOpen(table, p)
		first, err := table.Leased(p.At)
		if err != nil {
			s.Fatal(err)
		}
		if err := table.Renew(p); err != nil {
			s.Fatal(err)
		}
		again, err := table.Leased(p.At)
		if err != nil || again > first || first < nft.DefaultTimeout+3*time.Minute {
			s.Errorf("a renewal at once wrote again: %v left, then %v, %v", first, again, err)
		}
		p.Timeout = time.Hour
		if err := table.Renew(p); err != nil {
			s.Fatal(err)
		}
		if left, err := table.Leased(p.At); err != nil || left < time.Hour+3*time.Minute {
			s.Errorf("a pinhole that has an hour is watched for %v, %v", left, err)
		}
		s.refuse(s.Client2, p.At, "another client")
		s.noted(table, p.At, a.client2)
		s.mustClose(table, p)
	})
}

// A table in place of a damaged one notes who misses the pinholes that were
// open, and one that closed them all notes who misses the next.
func TestStraysAfterReinstall(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		s.watch(table)
		s.nft("flush ruleset")
		s.until("the table is back", func() bool { return table.Reinstalls() == 1 })
		s.refuse(s.Client2, p.At, "another client")
		s.noted(table, p.At, v4.client2)

		if n, err := table.CloseAll(); n != 1 || err != nil {
			s.Fatalf("closed %d, %v", n, err)
		}
		s.noted(table, p.At)
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another client")
		s.noted(table, p.At, v4.client2)
		s.pass(s.Client, p.At, ln)
	})
}

func TestStraysOfNothing(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		for _, at := range []netip.AddrPort{{}, netip.AddrPortFrom(netip.Addr{}, 1)} {
			if strays, err := table.Strays(at); err == nil {
				s.Errorf("strays at %v: %v", at, strays)
			}
		}
		p := v4.passive(61000, s.listen(s.Server, v4.servers))
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another client")
		mapped := netip.AddrPortFrom(netip.AddrFrom16(p.At.Addr().As16()), p.At.Port())
		if strays, err := table.Strays(mapped); err != nil || len(strays) != 1 || strays[0].At != p.At {
			s.Errorf("at the same address mapped into IPv6: %v, %v", strays, err)
		}
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		if strays, err := table.Strays(p.At); err == nil {
			s.Errorf("strays of a released table: %v", strays)
		}
	})
}
