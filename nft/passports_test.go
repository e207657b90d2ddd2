package nft_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpgate/nft"
)

func TestSetPassWhileOpen(t *testing.T) {
	eachPass(t, func(s *scene, table *nft.Table, a family, lns []net.Listener) {
		p := a.through(8)
		s.mustOpen(table, p)
		var running []transfer
		for i, ln := range lns {
			running = append(running, s.pass(s.Client, a.door(uint16(i)), ln))
		}
		backend := netip.AddrPortFrom(a.servers, 30000)
		s.setPass(table, // one goes, one stays, one leads elsewhere, one comes
			nft.PassPorts{First: 50001, Last: 50001, To: netip.AddrPortFrom(a.servers, 30001)},
			nft.PassPorts{First: 50002, Last: 50003, To: backend})
		for _, tr := range running {
			tr.move()
		}
		s.refuse(s.Client, a.door(0), "no longer declared")
		s.pass(s.Client, a.door(1), lns[1])
		s.pass(s.Client, a.door(2), lns[0])
		s.pass(s.Client, a.door(3), lns[1])
		s.wantOpen(table, 1)
		s.setPass(table)
		s.refuse(s.Client, a.door(1), "nothing is declared")
		s.setPass(table, a.declare())
		s.mustClose(table, p)
	})
}

// Thousands of ports are more than one transaction, also when the table is put
// in place anew.
func TestSetPassOfManyPorts(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.setPass(table,
			nft.PassPorts{First: 1024, Last: 65535, To: netip.AddrPortFrom(v4.servers, 1024)},
			nft.PassPorts{First: 10000, Last: 19999, To: netip.AddrPortFrom(v6.servers, 20000)})
		if n, err := table.CloseAll(); n != 0 || err != nil {
			s.Errorf("closed %d, %v", n, err)
		}
		for _, d := range []struct {
			a        family
			at, port uint16
		}{{v4, 1024, 1024}, {v4, 65535, 65535}, {v6, 10000, 20000}, {v6, 19999, 29999}} {
			p := d.a.through(4)
			s.mustOpen(table, p)
			ln := s.listenAt(s.Server, netip.AddrPortFrom(d.a.servers, d.port))
			s.pass(s.Client, netip.AddrPortFrom(d.a.wan, d.at), ln)
			s.mustClose(table, p)
		}
		s.setPass(table)
		if out := s.nft("list", "map", "inet", "ftpgate", "passto4"); strings.Contains(out, "elements") {
			s.Errorf("left behind:\n%.300s", out)
		}
	})
}

func TestPassAfterReinstallAndRelease(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		s.setPass(table, v4.declare())
		lns := s.backends(v4)
		p, other := v4.through(4), v4.through(4)
		other.From = v4.wan
		other.Source = netip.AddrPortFrom(v4.wan, 0) // beside another, hence with an element of its own
		s.mustOpen(table, p)
		s.mustOpen(table, other)
		tr := s.pass(s.Client, v4.door(0), lns[0])
		before := s.list(table)
		s.nft("flush ruleset")
		if err := table.SetRelay(1); err != nil { // finds the table gone
			s.Fatal(err)
		}
		if n := table.Reinstalls(); n != 1 {
			s.Errorf("%d reinstallations, want 1", n)
		}
		tr.move()
		s.wantOpen(table, 2)
		for i, l := range s.list(table) {
			if l.Source != before[i].Source || l.Flows != 4 || l.Remaining > before[i].Remaining {
				s.Errorf("restored %v of %v", l, before[i])
			}
		}
		s.pass(s.Client, v4.door(1), lns[1]).wantSource(v4.lan, 0)
		s.pass(s.Gateway, v4.door(2), lns[2]).wantSource(v4.wan, 0)
		if err := table.Intact(); err != nil {
			s.Error(err)
		}
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		s.refuse(s.Client, v4.door(0), "released")
		if out := s.nft("list", "table", "inet", "ftpgate"); strings.Contains(out, "elements") {
			s.Errorf("left behind:\n%s", out)
		}
		tr.move()
	})
}

// A chain for a limit that is new belongs to the table as installed.
func TestPassLeavesTheTableIntact(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		for flows := range 3 {
			p := v4.through(flows + 1)
			s.mustOpen(table, p) // the same one with another limit
			if err := table.Intact(); err != nil {
				s.Error(err)
			}
			if l := s.list(table); len(l) != 1 || l[0].Flows != p.Flows {
				s.Errorf("listed %v", l)
			}
		}
	})
}

func TestCloseOrphanedPass(t *testing.T) {
	eachKernel(t, func(s *scene) {
		env := []string{"NFT_TEST_PASS=1", "NFT_TEST_PINHOLE_TO=" + netip.AddrPortFrom(v4.servers, 1).String()}
		if !s.without.Owner {
			env = append(env, "NFT_TEST_OWNER=1")
		}
		cmd := s.start(env...)
		cmd.Process.Kill()
		cmd.Wait()
		if n, err := s.tryCloseOrphans(); n != 1 || err != nil {
			s.Errorf("closed %d passes, %v; want 1", n, err)
		}
		if out := s.nft("list", "set", "inet", "ftpgate", "pass4_2"); strings.Contains(out, "elements") {
			s.Errorf("left behind:\n%s", out)
		}
	})
}

func TestWhatIsNoPass(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		for name, spoil := range map[string]func(*nft.Pinhole){
			"a port to dial":   func(p *nft.Pinhole) { p.At = netip.AddrPortFrom(v4.wan, 1) },
			"a port to reach":  func(p *nft.Pinhole) { p.To = netip.AddrPortFrom(v4.servers, 1) },
			"a source port":    func(p *nft.Pinhole) { p.Source = netip.AddrPortFrom(v4.lan, 20) },
			"below no flows":   func(p *nft.Pinhole) { p.Flows = -1 },
			"too many flows":   func(p *nft.Pinhole) { p.Flows = 1<<16 + 1 },
			"without a client": func(p *nft.Pinhole) { p.From = netip.Addr{} },
		} {
			p := v4.through(4)
			spoil(&p)
			if err := table.Open(p); err == nil || errors.Is(err, os.ErrInvalid) {
				s.Errorf("%s: %v", name, err)
			}
		}
		good := v4.declare()
		if err := table.SetPass([]nft.PassPorts{good, good}); err != nil {
			s.Errorf("the same twice: %v", err)
		}
		for name, bad := range map[string]nft.PassPorts{
			"port 0":           {First: 0, Last: 2, To: good.To},
			"backwards":        {First: 3, Last: 2, To: good.To},
			"no backend":       {First: 1, Last: 2},
			"no backend port":  {First: 1, Last: 2, To: netip.AddrPortFrom(v4.servers, 0)},
			"beyond the end":   {First: 1, Last: 3, To: netip.AddrPortFrom(v4.servers, 65534)},
			"leads to another": {First: 50002, Last: 50003, To: good.To},
		} {
			if err := table.SetPass(slices.Concat([]nft.PassPorts{good}, []nft.PassPorts{bad})); err == nil {
				s.Errorf("%s was taken", name)
			}
		}
		s.mustOpen(table, v4.through(4))
		s.pass(s.Client, v4.door(0), s.backends(v4)[0]) // what was refused changed nothing
	})
}

// Renewal and closing of a pass while its table is gone.
func TestPassReinstalls(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		s.setPass(table, v4.declare())
		lns := s.backends(v4)
		p := v4.through(4)
		p.Timeout = time.Minute
		for round, write := range []func(nft.Pinhole) error{table.Open, table.Renew, table.Close} {
			s.nft("flush ruleset")
			if err := write(p); err != nil {
				s.Errorf("write %d: %v", round, err)
			}
			if n := table.Reinstalls(); n != uint64(round+1) {
				s.Errorf("write %d: %d reinstallations", round, n)
			}
			if round < 2 {
				s.pass(s.Client, v4.door(0), lns[0])
			}
		}
		s.refuse(s.Client, v4.door(0), "closed")
	})
}
