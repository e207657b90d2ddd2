package nft_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/nft"
)

// relayed is a pinhole from the client to a listener of the gateway's own,
// which keeps its source.
func (a family) relayed(port uint16, to net.Listener) nft.Pinhole {
	p := a.passive(port, to)
	p.To, p.Source = netip.AddrPortFrom(a.wan, p.To.Port()), netip.AddrPort{}
	return p
}

// relay listens on all addresses of the gateway, and tells the table.
func (s *scene) relay(table *nft.Table) (net.Listener, uint16) {
	s.Helper()
	ln := s.listen(s.Gateway, netip.IPv6Unspecified())
	port := addrOf(ln.Addr()).Port()
	if err := table.SetRelay(port); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		if err := table.SetRelay(); err != nil && !errors.Is(err, nft.ErrClosed) {
			s.Error(err)
		}
	})
	return ln, port
}

// unanswered dials and wants neither a connection nor a refusal, and nobody at
// the listener.
func (s *scene) unanswered(from *lab.Host, at netip.AddrPort, ln net.Listener, why string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 200*time.Millisecond)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", at.String())
	if err == nil {
		c.Close()
		s.Fatalf("%s: %s reached %v", why, from.Name, at)
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		s.Fatalf("%s: %s got %v from %v, want no answer", why, from.Name, err, at)
	}
	ln.(*net.TCPListener).SetDeadline(time.Unix(1, 0))
	if _, err := ln.Accept(); !errors.Is(err, os.ErrDeadlineExceeded) {
		s.Fatalf("%s: the listener behind %v: %v", why, at, err)
	}
}

func TestPinholeKeepsItsSource(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Gateway, a.wan)
		p := a.relayed(61000, ln)
		s.mustOpen(table, p)
		if l := s.list(table); len(l) != 1 || l[0].Source.IsValid() {
			t.Errorf("listed %v, want no source", l)
		}
		for _, m := range []string{"out", "via", "active"} {
			name := m + map[bool]string{true: "4", false: "6"}[a.wan.Is4()]
			if out := s.nft("list", "map", "inet", "ftpgate", name); strings.Contains(out, "elements") {
				t.Errorf("a pinhole that keeps its source wrote:\n%s", out)
			}
		}
		s.pass(s.Client, p.At, ln).wantSource(a.client, 0)
		s.refuse(s.Client, p.At, "used")
	})
}

// Pinholes to one target, some of which keep their source: each gets its own,
// in whatever order they are opened.
func TestPinholeKeepsItsSourceBesideOthers(t *testing.T) {
	eachKernel(t, func(s *scene) {
		for _, a := range both {
			ln := s.listen(s.Gateway, a.wan)
			relayed, carried := a.relayed(61000, ln), a.passive(61001, ln)
			own := a.relayed(61002, ln)
			own.Source = netip.AddrPortFrom(own.From, 0) // in other words
			all := []nft.Pinhole{relayed, carried, own}
			for _, order := range [][]int{{0, 1, 2}, {1, 0, 2}, {2, 1, 0}} {
				table := s.open(nft.Config{})
				for _, i := range order {
					s.mustOpen(table, all[i])
				}
				want := []netip.AddrPort{{}, carried.Source, {}}
				for i, l := range s.list(table) {
					if l.Source != want[i] {
						s.Errorf("order %v: listed %v, want source %v", order, l, want[i])
					}
				}
				s.pass(s.Client, relayed.At, ln).wantSource(a.client, 0)
				s.pass(s.Client, carried.At, ln).wantSource(a.lan, 0)
				s.pass(s.Client, own.At, ln).wantSource(a.client, 0)
				if err := table.Remove(); err != nil {
					s.Fatal(err)
				}
				s.forget(a)
			}
		}
	})
}

func TestLoopback(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		ln, port := s.relay(table)
		for _, a := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
			p := nft.Pinhole{From: a, At: netip.AddrPortFrom(a, 20000), To: netip.AddrPortFrom(a, port)}
			s.refuse(s.Gateway, p.At, "nothing is open")
			s.mustOpen(table, p)
			s.pass(s.Gateway, p.At, ln).wantSource(a, 0)
			s.refuse(s.Gateway, p.At, "a second connection")
			s.unanswered(s.Gateway, p.To, ln, "around the pinhole")
		}
	})
}

func TestRelayIsReachedThroughPinholesAlone(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln, port := s.relay(table)
		for _, d := range []struct {
			from *lab.Host
			at   netip.Addr
		}{{s.Client, a.wan}, {s.Server, a.lan}, {s.Gateway, a.wan}, {s.Gateway, a.lan}} {
			s.unanswered(d.from, netip.AddrPortFrom(d.at, port), ln, "around the pinholes")
		}

		p := a.relayed(61000, ln)
		s.mustOpen(table, p)
		s.unanswered(s.Client, p.To, ln, "around the own pinhole")
		tr := s.pass(s.Client, p.At, ln)
		tr.wantSource(a.client, 0)
		s.refuse(s.Client, p.At, "a second connection")

		same := a.relayed(port, ln) // leased the very port on which the relay listens
		s.mustOpen(table, same)
		s.unanswered(s.Client2, same.At, ln, "another client")
		s.pass(s.Client, same.At, ln).wantSource(a.client, 0)
		s.unanswered(s.Client, same.At, ln, "a second connection")

		active := nft.Pinhole{From: a.servers, At: netip.AddrPortFrom(a.lan, 20000), To: netip.AddrPortFrom(a.lan, port)}
		s.mustOpen(table, active)
		s.pass(s.Server, active.At, ln).wantSource(a.servers, 0)

		elsewhere, err := s.Client.Listen("tcp", netip.AddrPortFrom(a.client, port).String())
		if err != nil {
			t.Fatal(err)
		}
		defer elsewhere.Close()
		s.pass(s.Gateway, addrOf(elsewhere.Addr()), elsewhere) // the same port of another host
		tr.move()
	})
}

func TestSetRelay(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		first, second := s.listen(s.Gateway, v4.wan), s.listen(s.Gateway, v4.wan)
		tr := s.pass(s.Client, addrOf(first.Addr()), first)
		set := func(lns ...net.Listener) {
			s.Helper()
			var ports []uint16
			for _, ln := range lns {
				ports = append(ports, addrOf(ln.Addr()).Port())
			}
			if err := table.SetRelay(ports...); err != nil {
				s.Fatal(err)
			}
			for _, ln := range []net.Listener{first, second} {
				if slices.Contains(lns, ln) {
					s.unanswered(s.Client, addrOf(ln.Addr()), ln, "a relay")
				} else {
					s.pass(s.Client, addrOf(ln.Addr()), ln)
				}
			}
			tr.move() // connections that run stay
		}
		set(first)
		set(first, second, second)
		set(second)
		set()
		if err := table.SetRelay(0); err == nil {
			s.Error("port 0 was taken for a port")
		}
	})
}

func TestRelayAfterReinstallAndRelease(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		ln, port := s.relay(table)
		at := netip.AddrPortFrom(v4.wan, port)
		s.nft("flush ruleset")
		p := v4.relayed(61000, ln)
		s.mustOpen(table, p) // finds the table gone
		if n := table.Reinstalls(); n != 1 {
			s.Errorf("%d reinstallations, want 1", n)
		}
		s.unanswered(s.Client, at, ln, "after a reinstallation")
		s.pass(s.Client, p.At, ln)
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		s.pass(s.Client, at, ln)
	})
}

// A port that is leased by chance can be the one to which the pinhole leads.
func TestPinholeLeadsWhereItIsDialled(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Gateway, a.wan)
		p := a.passive(addrOf(ln.Addr()).Port(), ln)
		for _, source := range []netip.AddrPort{{}, netip.AddrPortFrom(a.lan, 0), netip.AddrPortFrom(a.lan, 20)} {
			p.Source = source
			s.mustOpen(table, p)
			seen := source
			if !seen.IsValid() {
				seen = netip.AddrPortFrom(a.client, 0)
			}
			tr := s.pass(s.Client, p.At, ln)
			tr.wantSource(seen.Addr(), seen.Port())
			s.wantOpen(table, 0)
			tr.reset()
		}
	})
}
