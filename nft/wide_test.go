package nft_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/nft"
)

// prefix and narrow are lengths of prefixes of the first client: the one holds
// both clients, the other the first alone.
func (a family) prefix() int {
	if a.wan.Is4() {
		return 24
	}
	return 64
}

func (a family) narrow() int { return a.wan.BitLen() - 3 }

// wide is a passive pinhole for anybody in a prefix of the client.
func (a family) wide(peers int, port uint16, to net.Listener) nft.Pinhole {
	p := a.passive(port, to)
	p.Peers, p.Comment = peers, "files/42 wide"
	return p
}

func TestPeers(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.wide(a.prefix(), 61000, ln)
		s.mustOpen(table, p)
		s.pass(s.Client2, p.At, ln).wantSource(a.lan, 0)
		s.wantOpen(table, 0)
		s.refuse(s.Client2, p.At, "a second connection")
		s.refuse(s.Client, p.At, "a second connection, from the client itself")

		s.mustOpen(table, p)
		s.pass(s.Client, p.At, ln).wantSource(a.lan, 0)
		s.refuse(s.Client2, p.At, "a second connection, from another one")

		p = a.wide(a.narrow(), 61001, ln)
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "not in the prefix")
		s.refuse(s.Client, netip.AddrPortFrom(a.wan, 61002), "another port")
		s.wantOpen(table, 1)
		s.pass(s.Client, p.At, ln)
		s.wantOpen(table, 0)
		if err := table.Intact(); err != nil {
			t.Error(err)
		}
	})
}

// The prefix of one address is the address.
func TestPeersOfOneAddress(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.wide(a.wan.BitLen(), 61000, ln)
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another address")
		if l := s.list(table); len(l) != 1 || l[0].Peers != 0 || l[0].From != a.client {
			t.Errorf("listed %v", l)
		}
		s.pass(s.Client, p.At, ln)
	})
}

// Who has a pinhole of his own goes through that, and does not use up the one of
// all.
func TestPeersBesideOneOfTheSame(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		first, second, third := s.listen(s.Server, a.servers), s.listen(s.Server, a.servers), s.listen(s.Server, a.servers)
		exact, narrow, wide := a.passive(61000, first), a.wide(a.narrow(), 61000, second), a.wide(a.prefix(), 61000, third)
		s.mustOpen(table, wide)
		s.mustOpen(table, exact)
		s.pass(s.Client, wide.At, first).reset()
		s.wantOpen(table, 1)
		s.pass(s.Client2, wide.At, third).reset()
		s.wantOpen(table, 0)

		s.mustOpen(table, narrow)
		s.mustOpen(table, exact)
		s.mustOpen(table, wide)
		s.wantOpen(table, 3)
		s.pass(s.Client2, wide.At, third).reset()
		s.wantOpen(table, 2)
		s.pass(s.Client, wide.At, first).reset()
		s.pass(s.Client, wide.At, second).reset()
		s.wantOpen(table, 0)
	})
}

// However the source comes about: from the target's element, from one of its own,
// or it stays.
func TestPeersSources(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Gateway, a.wan)
		port := uint16(61000)
		for name, source := range map[string]netip.AddrPort{
			"its own": {}, "inside": netip.AddrPortFrom(a.lan, 0), "outside": netip.AddrPortFrom(a.wan, 0),
		} {
			for _, other := range []netip.AddrPort{{}, netip.AddrPortFrom(a.lan, 0), netip.AddrPortFrom(a.wan, 0)} {
				for _, straight := range []bool{false, true} {
					port += 2
					blocker := a.passive(port, ln) // has the target's element
					blocker.Source = other
					s.mustOpen(table, blocker)
					p := a.wide(a.prefix(), port+1, ln)
					if straight {
						p.At = p.To
					}
					p.Source = source
					s.mustOpen(table, p)
					for _, l := range s.list(table) {
						if l.Peers != 0 && l.Source != source {
							t.Errorf("%s beside %v: listed %v", name, other, l)
						}
					}
					want := source.Addr()
					if !want.IsValid() {
						want = a.client2
					}
					tr := s.pass(s.Client2, p.At, ln)
					tr.wantSource(want, 0)
					tr.reset()
					s.wantOpen(table, 1)
					if err := table.Close(blocker); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
	})
}

func TestPeersRenewCloseExpire(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln, other := s.listen(s.Server, a.servers), s.listen(s.Server, a.servers)
		p := a.wide(a.prefix(), 61000, ln)
		p.Timeout = 400 * time.Millisecond
		s.mustOpen(table, p)
		if err := table.Open(a.wide(a.prefix(), 61000, other)); !errors.Is(err, nft.ErrExists) {
			t.Errorf("another one of the same prefix: %v", err)
		}
		s.until("it expires", func() bool { return len(s.list(table)) == 0 })
		s.refuse(s.Client2, p.At, "expired")
		if err := table.Renew(p); !errors.Is(err, nft.ErrMissing) {
			t.Errorf("renew what has expired: %v", err)
		}

		p.Timeout = time.Minute
		p.From = a.client2 // of the same prefix
		s.mustOpen(table, p)
		p.Timeout = time.Hour
		if err := table.Renew(p); err != nil {
			t.Error(err)
		}
		if l := s.list(table); len(l) != 1 || l[0].Timeout != time.Hour || l[0].Peers != a.prefix() || l[0].Comment != p.Comment {
			t.Errorf("listed %v", l)
		}
		p.From = a.client
		if err := table.Close(p); err != nil {
			t.Error(err)
		}
		s.wantOpen(table, 0)
		s.refuse(s.Client2, p.At, "closed")

		s.mustOpen(table, p)
		s.mustOpen(table, a.passive(61001, ln))
		if n, err := table.CloseAll(); n != 2 || err != nil {
			t.Errorf("closed %d, %v", n, err)
		}
		s.refuse(s.Client2, p.At, "closed with all")
		s.mustOpen(table, p)
		s.pass(s.Client2, p.At, ln)
	})
}

func TestPeersAfterReinstall(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		for i, a := range both {
			first, second := s.listen(s.Server, a.servers), s.listen(s.Server, a.servers)
			used, open := a.wide(a.prefix(), 61000, first), a.wide(a.prefix(), 61001, first)
			beside, narrow := a.passive(61001, second), a.wide(a.narrow(), 61002, first)
			for _, p := range []nft.Pinhole{used, open, beside, narrow} {
				s.mustOpen(table, p)
			}
			tr := s.pass(s.Client2, used.At, first)
			s.pass(s.Client, beside.At, second) // to the same address and port as open
			s.nft("flush ruleset")
			s.mustOpen(table, a.passive(61003, first)) // finds the table gone
			if n := table.Reinstalls(); n != uint64(i+1) {
				s.Errorf("%d reinstallations, want %d", n, i+1)
			}
			tr.move()
			s.wantOpen(table, 3)
			s.refuse(s.Client, used.At, "used before")
			s.pass(s.Client2, open.At, first).wantSource(a.lan, 0)
			s.refuse(s.Client2, narrow.At, "not in the prefix")
			s.pass(s.Client, narrow.At, first)
			s.pass(s.Client, netip.AddrPortFrom(a.wan, 61003), first)
			if err := table.Intact(); err != nil {
				s.Error(err)
			}
		}
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		if out := s.nft("list table inet ftpgate"); strings.Contains(out, "wide4_") || strings.Contains(out, "elements") {
			s.Errorf("left behind:\n%s", out)
		}
	})
}

// What nft shows, whatever it makes of the rules, names the pinhole; so do others
// that read the table.
func TestPeersAreListedByOthers(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		for _, a := range both {
			s.mustOpen(table, a.wide(a.prefix(), 61000, s.listen(s.Server, a.servers)))
		}
		out := s.nft("list table inet ftpgate")
		for _, want := range []string{"198.51.100.0 . 198.51.100.1 . 61000", "2001:db8:1:: . 2001:db8:1::1 . 61000", `comment "files/42 wide"`} {
			if !strings.Contains(out, want) {
				s.Errorf("no %s in:\n%s", want, out)
			}
		}
		err := s.Gateway.Do(func() error {
			l, err := nft.Pinholes(nft.DefaultName)
			if err == nil && (len(l) != 2 || l[0].Peers != 24 || l[1].Peers != 64) {
				s.Errorf("listed %v", l)
			}
			return err
		})
		if err != nil {
			s.Error(err)
		}
	})
}

func TestPeersThatAreNone(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		for name, change := range map[string]func(*nft.Pinhole){
			"less than no bits":   func(p *nft.Pinhole) { p.Peers = -1 },
			"more than there are": func(p *nft.Pinhole) { p.Peers = a.wan.BitLen() + 1 },
			"with a source port":  func(p *nft.Pinhole) { p.Source = netip.AddrPortFrom(a.wan, 20) },
			"of a pass":           func(p *nft.Pinhole) { *p = a.through(2); p.Peers = a.prefix() },
		} {
			p := a.wide(a.prefix(), 61000, ln)
			change(&p)
			if err := table.Open(p); err == nil {
				t.Errorf("%s: taken for a pinhole", name)
			}
		}
		s.wantOpen(table, 0)
	})
}
