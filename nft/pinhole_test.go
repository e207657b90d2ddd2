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

func TestPassive(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		s.refuse(s.Client, p.At, "nothing is open")
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another client")
		s.refuse(s.Client, netip.AddrPortFrom(a.wan, 61001), "another port")

		tr := s.pass(s.Client, p.At, ln)
		tr.wantSource(a.lan, 0)
		s.refuse(s.Client, p.At, "a second connection")
		s.wantOpen(table, 0)
		tr.move()
	})
}

func TestActive(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Client, a.client)
		p := a.active(20000, ln)
		s.mustOpen(table, p)
		s.refuse(s.Client, netip.AddrPortFrom(a.wan, 20000), "from outside")

		tr := s.pass(s.Server, p.At, ln)
		tr.wantSource(a.wan, 20)
		s.refuse(s.Server, p.At, "a second connection")
		s.wantOpen(table, 0)
		tr.move()
	})
}

func TestListenerOnTheGatewayItself(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Gateway, a.lan)
		p := a.passive(61000, ln)
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another client")
		s.pass(s.Client, p.At, ln).wantSource(a.lan, 0)
		s.refuse(s.Client, p.At, "a second connection")

		out := s.listen(s.Client, a.client)
		p = a.active(20000, out)
		p.From = a.lan
		s.mustOpen(table, p)
		s.passFrom(s.Gateway, &net.TCPAddr{IP: a.lan.AsSlice()}, p.At, out).wantSource(a.wan, 20)
		s.wantOpen(table, 0)
	})
}

func TestClientOnTheGatewayItself(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		p.From = a.wan
		s.mustOpen(table, p)
		s.refuse(s.Client, p.At, "another client")
		s.pass(s.Gateway, p.At, ln).wantSource(a.lan, 0)
		s.refuse(s.Gateway, p.At, "a second connection")

		in := s.listen(s.Gateway, a.wan)
		p = a.active(20000, in)
		s.mustOpen(table, p)
		s.pass(s.Server, p.At, in).wantSource(a.wan, 20)
		s.wantOpen(table, 0)
	})
}

func TestClientAndListenerOnTheGatewayItself(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Gateway, a.lan)
		p := a.passive(61000, ln)
		p.From = a.wan
		s.mustOpen(table, p)
		s.pass(s.Gateway, p.At, ln).wantSource(a.lan, 0)
		s.refuse(s.Gateway, p.At, "a second connection")
		s.wantOpen(table, 0)
	})
}

func TestExpiryInTheKernel(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		p.Timeout = 500 * time.Millisecond
		began := time.Now()
		s.mustOpen(table, p)
		s.until("the kernel expires the pinhole", func() bool { return len(s.list(table)) == 0 })
		if age := time.Since(began); age < p.Timeout-10*time.Millisecond {
			t.Errorf("expired after %v, want %v", age, p.Timeout)
		}
		s.refuse(s.Client, p.At, "expired")
	})
}

func TestClose(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		s.mustOpen(table, p)
		for range 2 { // the second finds nothing
			if err := table.Close(p); err != nil {
				t.Fatal(err)
			}
		}
		s.refuse(s.Client, p.At, "closed")

		s.mustOpen(table, p)
		tr := s.pass(s.Client, p.At, ln)
		if err := table.Close(p); err != nil {
			t.Fatalf("close a used pinhole: %v", err)
		}
		tr.move() // a connection outlives its pinhole

		other := p
		other.To = netip.AddrPortFrom(p.To.Addr(), p.To.Port()+1)
		s.mustOpen(table, p)
		if err := table.Close(other); err != nil {
			t.Fatal(err)
		}
		s.wantOpen(table, 1) // a late close of another does not take it away
		if err := table.Close(p); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRenew(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		for _, p := range []nft.Pinhole{
			a.passive(61000, s.listen(s.Server, a.servers)),
			a.active(20000, s.listen(s.Client, a.client)),
		} {
			p.Timeout = 2 * time.Second
			s.mustOpen(table, p)
			p.Timeout = time.Hour
			if err := table.Renew(p); err != nil {
				t.Fatal(err)
			}
			if l := s.list(table); len(l) != 1 || l[0].Remaining < time.Hour-time.Minute {
				t.Errorf("after renewal: %v", l)
			}
			if err := table.Close(p); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRenewNeverReopens(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		p := a.passive(61000, ln)
		s.mustOpen(table, p)
		s.pass(s.Client, p.At, ln)
		if err := table.Renew(p); !errors.Is(err, nft.ErrMissing) {
			t.Errorf("renew a used pinhole: %v", err)
		}
		s.refuse(s.Client, p.At, "used")

		p.Timeout = 50 * time.Millisecond
		s.mustOpen(table, p)
		s.until("expiry", func() bool { return len(s.list(table)) == 0 })
		if err := table.Renew(p); !errors.Is(err, nft.ErrMissing) {
			t.Errorf("renew an expired pinhole: %v", err)
		}
		s.refuse(s.Client, p.At, "expired")
	})
}

func TestReopen(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln, other := s.listen(s.Client, a.client), s.listen(s.Client, a.client)
		p := a.active(20000, ln)
		use := func(ln net.Listener, port int) {
			t.Helper()
			p.To = addrOf(ln.Addr())
			s.mustOpen(table, p)
			tr := s.passFrom(s.Server, &net.TCPAddr{IP: a.servers.AsSlice(), Port: port}, p.At, ln)
			tr.wantSource(a.wan, 20)
			tr.reset()
			s.forget(a) // or port 20 stays taken for the next
		}
		for i := range 3 { // a used one leaves its source behind for a while
			use(ln, 3000+2*i)
			table.Used(p)
			use(other, 3001+2*i) // and of this one nobody tells that it was used
		}
		short := p
		short.Timeout = time.Minute
		s.mustOpen(table, short)
		short.Timeout = time.Hour
		s.mustOpen(table, short)
		if l := s.list(table); len(l) != 1 || l[0].Remaining < 50*time.Minute {
			t.Errorf("opening again does not refresh: %v", l)
		}
		clash := p
		clash.To = addrOf(ln.Addr())
		if err := table.Open(clash); !errors.Is(err, nft.ErrExists) {
			t.Errorf("another pinhole at the same place: %v, want ErrExists", err)
		}
		if err := table.Close(short); err != nil {
			t.Fatal(err)
		}
	})
}

func TestOneTargetFromTwoSources(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln := s.listen(s.Server, a.servers)
		first, second := a.passive(61000, ln), a.passive(61001, ln)
		second.Source = netip.AddrPortFrom(a.wan, 0)
		s.mustOpen(table, first)
		s.mustOpen(table, second)
		l := s.list(table)
		if len(l) != 2 || l[0].Source != first.Source || l[1].Source != second.Source {
			t.Errorf("listed %v", l)
		}
		s.pass(s.Client, second.At, ln).wantSource(a.wan, 0)
		s.pass(s.Client, first.At, ln).wantSource(a.lan, 0)
		s.refuse(s.Client, second.At, "used")
	})
}

// A backend that is reached from another inside address than before gets a new
// permanent element once no open pinhole relies on the old one.
func TestTargetChangesItsSource(t *testing.T) {
	eachKernel(t, func(s *scene) {
		for _, a := range both {
			table := s.open(nft.Config{})
			s.changeSource(table, a)
			if err := table.Remove(); err != nil {
				s.Fatal(err)
			}
		}
	})
}

func (s *scene) changeSource(table *nft.Table, a family) {
	out := map[bool]string{true: "out4", false: "out6"}[a.wan.Is4()]
	source := func() string { return s.nft("list", "map", "inet", "ftpgate", out) }
	ln := s.listen(s.Server, a.servers)
	old, changed := a.passive(61000, ln), a.passive(61001, ln)
	changed.Source = netip.AddrPortFrom(a.wan, 0)
	s.mustOpen(table, old)
	if err := table.Close(old); err != nil {
		s.Fatal(err)
	}
	s.mustOpen(table, changed)
	if got := source(); !strings.Contains(got, a.wan.String()) || strings.Contains(got, a.lan.String()) {
		s.Errorf("%s does not follow to %v:\n%s", out, a.wan, got)
	}
	s.mustOpen(table, old) // while the other one relies on the element
	if got := source(); !strings.Contains(got, a.wan.String()) {
		s.Errorf("%s goes back to %v under an open pinhole:\n%s", out, a.lan, got)
	}
	s.pass(s.Client, changed.At, ln).wantSource(a.wan, 0)
	s.pass(s.Client, old.At, ln).wantSource(a.lan, 0)
}

func TestComments(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		p := a.passive(61000, s.listen(s.Server, a.servers))
		s.mustOpen(table, p)
		if out := s.nft("list", "table", "inet", "ftpgate"); !strings.Contains(out, `comment "files/42 passive"`) {
			t.Errorf("no comment in:\n%s", out)
		}
		p.Comment = "a\"b\n" + strings.Repeat("x", 300)
		s.mustOpen(table, p)
		if l := s.list(table); len(l) != 1 || len(l[0].Comment) != 120 || !strings.HasPrefix(l[0].Comment, "a?b?x") {
			t.Errorf("a bad comment became %v", l)
		}
		if err := table.Close(p); err != nil {
			t.Fatal(err)
		}
	})
}
