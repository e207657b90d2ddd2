package nft_test

import (
	"errors"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// TestMain lets the test binary be another process that has a table: it opens
// one, says so and waits to be killed.
func TestMain(m *testing.M) {
	if to := os.Getenv("NFT_TEST_PINHOLE_TO"); to != "" {
		other(func() error { return openWith(netip.MustParseAddrPort(to)) })
	}
	if os.Getenv("NFT_TEST_FOREIGN") != "" {
		other(ownForeign)
	}
	os.Exit(m.Run())
}

// openWith opens a table with a pinhole.
func openWith(to netip.AddrPort) error {
	table, err := nft.Open(nft.Config{Owner: os.Getenv("NFT_TEST_OWNER") != ""})
	if err != nil {
		return err
	}
	if os.Getenv("NFT_TEST_PASS") != "" {
		return table.Open(v4.through(2))
	}
	return table.Open(crashed(to))
}

func other(open func() error) {
	if err := open(); err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("open\n")
	select {}
}

// crashed is the pinhole that the other process opens.
func crashed(to netip.AddrPort) nft.Pinhole {
	return nft.Pinhole{From: v4.client, At: netip.AddrPortFrom(v4.wan, 61999), To: to,
		Source: netip.AddrPortFrom(v4.lan, 0), Timeout: 3 * time.Second}
}

// startOther returns when the other process has its table and pinhole.
func (s *scene) startOther(to netip.AddrPort) *lab.Cmd {
	s.Helper()
	env := []string{"NFT_TEST_PINHOLE_TO=" + to.String()}
	if !s.without.Owner {
		env = append(env, "NFT_TEST_OWNER=1")
	}
	return s.start(env...)
}

// start runs the test binary as another process and returns when it is ready.
func (s *scene) start(env ...string) *lab.Cmd {
	s.Helper()
	cmd := s.Gateway.Command(s.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	line := make([]byte, 256)
	if n, err := out.Read(line); string(line[:n]) != "open\n" {
		s.Fatalf("the other process says %q, %v", line[:n], err)
	}
	return cmd
}

func TestKilledAndAdopted(t *testing.T) {
	eachKernel(t, func(s *scene) {
		ln := s.listen(s.Server, v4.servers)
		p := crashed(addrOf(ln.Addr()))
		cmd := s.startOther(p.To)
		tr := s.pass(s.Client, p.At, ln)
		cmd.Process.Kill()
		cmd.Wait()
		tr.move()

		cmd = s.startOther(p.To) // takes over, with a pinhole of its own
		tr.move()
		cmd.Process.Kill()
		cmd.Wait()
		table := s.open(nft.Config{})
		s.wantOpen(table, 0)
		s.refuse(s.Client, p.At, "opened by a process that is dead")
		tr.move()
	})
}

func TestKilledAndExpired(t *testing.T) {
	eachKernel(t, func(s *scene) {
		ln := s.listen(s.Server, v4.servers)
		p := crashed(addrOf(ln.Addr()))
		cmd := s.startOther(p.To)
		cmd.Process.Kill()
		cmd.Wait()
		if out := s.nft("list", "map", "inet", "ftpgate", "dnat4"); !strings.Contains(out, "61999") {
			s.Fatalf("the pinhole went with its process:\n%s", out)
		}
		s.until("the pinhole expires without its process", func() bool {
			return !strings.Contains(s.nft("list", "map", "inet", "ftpgate", "dnat4"), "61999")
		})
		s.refuse(s.Client, p.At, "expired")
	})
}

func TestReleaseKeepsRunningConnections(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{Listen: []netip.AddrPort{netip.AddrPortFrom(v4.wan, 21)}})
		ln := s.listen(s.Server, v4.servers)
		used, unused := v4.passive(61000, ln), v4.passive(61001, ln)
		s.mustOpen(table, used)
		s.mustOpen(table, unused)
		tr := s.pass(s.Client, used.At, ln)
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		tr.move()
		s.refuse(s.Client, unused.At, "released")
		if out := s.nft("list", "table", "inet", "ftpgate"); strings.Contains(out, "elements") {
			s.Errorf("left behind:\n%s", out)
		}
		if err := table.Open(unused); !errors.Is(err, nft.ErrClosed) {
			s.Errorf("open after release: %v", err)
		}

		table = s.open(nft.Config{})
		tr.move()
		s.mustOpen(table, unused)
		s.pass(s.Client, unused.At, ln)
	})
}

func TestRemove(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		if err := table.Remove(); err != nil {
			s.Fatal(err)
		}
		if out := s.nft("list", "ruleset"); out != "" {
			s.Errorf("left behind:\n%s", out)
		}
	})
}

func TestStaleTableIsReplaced(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		tr := s.pass(s.Client, p.At, ln)
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		// What an older version might have left: other maps, other rules, no owner.
		s.nft("delete table inet ftpgate; add table inet ftpgate;" +
			"add map inet ftpgate dnat4 { type ipv4_addr : ipv4_addr; };" +
			"add chain inet ftpgate pre { type nat hook prerouting priority 0; };" +
			"add rule inet ftpgate pre dnat ip to ip saddr map @dnat4")
		table = s.open(nft.Config{})
		tr.move()
		s.mustOpen(table, p)
		s.pass(s.Client, p.At, ln)
	})
}

func TestCloseOrphans(t *testing.T) {
	eachKernel(t, func(s *scene) {
		if n, err := s.tryCloseOrphans(); n != 0 || !errors.Is(err, nft.ErrNoTable) {
			s.Errorf("closed %d pinholes of no table: %v", n, err)
		}
		ln := s.listen(s.Server, v4.servers)
		p := crashed(addrOf(ln.Addr()))
		cmd := s.startOther(p.To)
		cmd.Process.Kill()
		cmd.Wait()
		if n, err := s.tryCloseOrphans(); n != 1 || err != nil {
			s.Errorf("closed %d pinholes, %v; want 1", n, err)
		}
		s.refuse(s.Client, p.At, "closed")
	})
}

// withRights runs f in the gateway with no more than some capabilities, in a
// thread that ends with it. f does not end the test.
func withRights(l *lab.Lab, caps uint32, f func() error) error {
	return inThread(l, func() error {
		sets := [2]unix.CapUserData{{Effective: caps, Permitted: caps}}
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &sets[0]); err != nil {
			return err
		}
		return f()
	})
}

func TestWithoutTheRight(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	err := withRights(l, 0, func() error {
		_, err := nft.Open(nft.Config{Owner: true})
		return err
	})
	if !errors.Is(err, nft.ErrPermission) || !strings.Contains(err.Error(), "setcap cap_net_admin") {
		t.Errorf("got %v, want how to grant the right", err)
	}
}

func TestNetAdminIsRightEnough(t *testing.T) {
	eachKernel(t, func(s *scene) {
		ln := s.listen(s.Server, v4.servers)
		var table *nft.Table
		err := withRights(s.Lab, 1<<unix.CAP_NET_ADMIN, func() (err error) {
			table, err = nft.Open(nft.Config{Owner: true, Without: s.without})
			if err != nil {
				return err
			}
			return table.Open(v4.passive(61000, ln))
		})
		if err != nil {
			s.Fatal(err)
		}
		if !table.Owned() {
			s.nft("flush", "ruleset")
		}
		err = withRights(s.Lab, 1<<unix.CAP_NET_ADMIN, func() error {
			if err := table.Open(v4.passive(61001, ln)); err != nil {
				return err
			}
			if l, err := table.List(); err != nil || len(l) != 2 {
				s.Errorf("listed %v, %v", l, err)
			}
			return table.Release()
		})
		if err != nil {
			s.Error(err)
		}
	})
}
