package nft_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpgate/internal/lab"
	"ftpgate/nft"
)

// through is a pass of the client to the server, for so many connections.
func (a family) through(flows int) nft.Pinhole {
	return nft.Pinhole{
		From: a.client, At: netip.AddrPortFrom(a.wan, 0), To: netip.AddrPortFrom(a.servers, 0),
		Source: netip.AddrPortFrom(a.lan, 0), Flows: flows, Comment: "files/42 pass",
	}
}

// backends are listeners on ports 30000 to 30002 of the server.
func (s *scene) backends(a family) []net.Listener {
	s.Helper()
	var lns []net.Listener
	for port := range uint16(3) {
		lns = append(lns, s.listenAt(s.Server, netip.AddrPortFrom(a.servers, 30000+port)))
	}
	return lns
}

func (s *scene) listenAt(h *lab.Host, at netip.AddrPort) net.Listener {
	s.Helper()
	ln, err := h.Listen("tcp", at.String())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { ln.Close() })
	return ln
}

// declare says that ports 50000 to 50002 lead to the backends.
func (a family) declare() nft.PassPorts {
	return nft.PassPorts{First: 50000, Last: 50002, To: netip.AddrPortFrom(a.servers, 30000)}
}

func (a family) door(i uint16) netip.AddrPort { return netip.AddrPortFrom(a.wan, 50000+i) }

func (s *scene) setPass(table *nft.Table, ports ...nft.PassPorts) {
	s.Helper()
	if err := table.SetPass(ports); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) mustClose(table *nft.Table, p nft.Pinhole) {
	s.Helper()
	if err := table.Close(p); err != nil {
		s.Fatal(err)
	}
}

// eachPass runs a test with declared ports, backends and a table for each kernel
// and family.
func eachPass(t *testing.T, f func(s *scene, table *nft.Table, a family, lns []net.Listener)) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		s.setPass(table, v4.declare(), v6.declare())
		f(s, table, a, s.backends(a))
	})
}

func TestPassAdmitsAgainAndAgain(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		other := s.listen(s.Gateway, a.lan)
		s.setPass(table, v4.declare(), v6.declare(), nft.PassPorts{First: 50003, Last: 50003, To: addrOf(other.Addr())})
		s.refuse(s.Client, a.door(0), "nothing is open")
		s.forget(a)
		p := a.through(8)
		s.mustOpen(table, p)
		const ack = 0x10
		s.forge(a, a.door(0), ack)
		s.wantMarked() // only a SYN is taken
		for range 2 {
			for i, ln := range lns {
				s.pass(s.Client, a.door(uint16(i)), ln).wantSource(a.lan, 0)
			}
		}
		at := []netip.AddrPort{a.door(0), a.door(0), a.door(1), a.door(1), a.door(2), a.door(2)}
		s.wantMarked(at...)
		s.wantOpen(table, 1)
		s.refuse(s.Client2, a.door(0), "another client")
		s.refuse(s.Client, a.door(3), "a port of another backend")
		s.refuse(s.Client, a.door(4), "a port that nobody declared")
		s.mustClose(table, p)
		p.At = netip.AddrPortFrom(a.lan, 0)
		s.mustOpen(table, p)
		s.refuse(s.Client, a.door(0), "another address")
		s.mustClose(table, p)
		s.forget(a)
	})
}

func TestPassEnds(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		p := a.through(4)
		s.mustOpen(table, p)
		tr := s.pass(s.Client, a.door(0), lns[0])
		s.mustClose(table, p)
		s.mustClose(table, p) // again, which finds nothing
		s.refuse(s.Client, a.door(0), "closed")
		tr.move()
		if err := table.Renew(p); !errors.Is(err, nft.ErrMissing) {
			t.Errorf("renew a closed pass: %v", err)
		}

		p.Timeout = 300 * time.Millisecond
		s.mustOpen(table, p)
		s.until("the kernel expires the pass", func() bool { return len(s.list(table)) == 0 })
		s.refuse(s.Client, a.door(0), "expired")
		tr.move()

		p.Timeout = time.Hour
		for range 2 { // what had expired, and what had not
			if err := table.Renew(p); err != nil {
				t.Fatal(err)
			}
			if l := s.list(table); len(l) != 1 || l[0].Remaining < 50*time.Minute {
				t.Errorf("after renewal: %v", l)
			}
		}
		s.pass(s.Client, a.door(1), lns[1])
		s.mustClose(table, p)
		s.refuse(s.Client, a.door(0), "closed")
	})
}

func TestPassLimitsConnections(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		p := a.through(2)
		s.mustOpen(table, p)
		first := s.pass(s.Client, a.door(0), lns[0])
		second := s.pass(s.Client, a.door(1), lns[1])
		s.unanswered(s.Client, a.door(2), lns[2], "beyond the limit")
		first.reset()
		s.pass(s.Client, a.door(2), lns[2]) // one has ended
		s.unanswered(s.Client, a.door(0), lns[0], "beyond the limit again")
		second.move()

		again := p
		again.Comment = "files/43 pass"
		s.mustOpen(table, again)
		s.unanswered(s.Client, a.door(0), lns[0], "another session of the same client")
		s.mustClose(table, p)
		s.mustClose(table, again)
	})
}

// Connections that come all at once are counted one by one.
func TestPassLimitsParallelConnections(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		const flows, dials = 3, 24
		p := a.through(flows)
		s.mustOpen(table, p)
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		var reached atomic.Int32
		var wg sync.WaitGroup
		for i := range dials {
			wg.Go(func() {
				c, err := s.Client.Dial(ctx, "tcp", a.door(uint16(i%3)).String())
				if err == nil {
					reached.Add(1)
					t.Cleanup(func() { c.Close() })
				}
			})
		}
		wg.Wait()
		if n := reached.Load(); n != flows {
			t.Errorf("%d of %d connections reached the backend, want %d", n, dials, flows)
		}
		s.mustClose(table, p)
	})
}

func TestPassIsShared(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		p, other := a.through(4), a.through(4)
		other.Comment = "files/43 pass"
		s.mustOpen(table, p)
		s.mustOpen(table, p)
		s.mustOpen(table, other)
		s.wantOpen(table, 1)
		for range 2 { // to close twice does not count twice
			s.mustClose(table, p)
			s.pass(s.Client, a.door(0), lns[0])
		}
		if err := table.Renew(p); !errors.Is(err, nft.ErrMissing) {
			t.Errorf("renew what others hold: %v", err)
		}
		if err := table.Renew(other); err != nil {
			t.Error(err)
		}
		s.mustClose(table, other)
		s.refuse(s.Client, a.door(0), "closed by the last")
	})
}

func TestPassOnTheGatewayItself(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		p := a.through(4)
		p.From = a.wan
		s.mustOpen(table, p)
		s.pass(s.Gateway, a.door(0), lns[0]).wantSource(a.lan, 0)
		s.mustClose(table, p)
		s.refuse(s.Gateway, a.door(0), "closed")

		ln := s.listen(s.Gateway, a.lan)
		s.setPass(table, nft.PassPorts{First: 50000, Last: 50000, To: addrOf(ln.Addr())})
		p = a.through(4)
		p.To = netip.AddrPortFrom(a.lan, 0)
		s.mustOpen(table, p)
		s.pass(s.Client, a.door(0), ln).wantSource(a.lan, 0)
		s.mustClose(table, p)
	})
}

// Passes and pinholes to one backend, each from another source.
func TestPassKeepsItsSource(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		pinhole := a.passive(61000, lns[2])
		pass := a.through(4)
		pass.Source = netip.AddrPortFrom(a.wan, 0)
		bare := a.through(4)
		bare.From, bare.Source = a.wan, netip.AddrPort{}
		s.mustOpen(table, pinhole)
		s.mustOpen(table, pass)
		s.mustOpen(table, bare)
		sources := map[netip.Addr]netip.AddrPort{}
		for _, l := range s.list(table) {
			if l.Flows != 0 {
				sources[l.From] = l.Source
			}
		}
		if sources[a.client] != pass.Source || sources[a.wan].IsValid() {
			t.Errorf("listed sources %v", sources)
		}
		s.pass(s.Client, a.door(0), lns[0]).wantSource(a.wan, 0)
		s.pass(s.Gateway, a.door(1), lns[1]).wantSource(a.wan, 0)
		s.mustClose(table, pass)
		pass.Source = netip.AddrPortFrom(a.lan, 0)
		s.mustOpen(table, pass)
		s.pass(s.Client, a.door(1), lns[1]).wantSource(a.lan, 0)
		s.mustClose(table, pass)
		s.mustClose(table, bare)
		s.mustClose(table, pinhole)
	})
}

func TestPassIsListed(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, _ []net.Listener) {
		want := a.through(7)
		want.Timeout = nft.DefaultTimeout
		s.mustOpen(table, want)
		l := s.list(table)
		if len(l) != 1 || l[0].Remaining <= 0 || l[0].Remaining > want.Timeout {
			t.Fatalf("listed %v", l)
		}
		same := []cmp.Option{cmp.Comparer(func(x, y netip.Addr) bool { return x == y }),
			cmp.Comparer(func(x, y netip.AddrPort) bool { return x == y })}
		if diff := cmp.Diff(want, l[0].Pinhole, same...); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if text := l[0].String(); !strings.Contains(text, `comment "files/42 pass", 7 at a time`) {
			t.Errorf("printed as %s", text)
		}
		out := s.nft("list", "table", "inet", "ftpgate")
		for _, word := range []string{"pass" + map[bool]string{true: "4", false: "6"}[a.wan.Is4()] + "_7 {", `comment "files/42 pass"`, "ct count 7"} {
			if !strings.Contains(out, word) {
				t.Errorf("no %s in:\n%s", word, out)
			}
		}
		if n, err := table.CloseAll(); n != 1 || err != nil {
			t.Errorf("closed %d, %v", n, err)
		}
	})
}
