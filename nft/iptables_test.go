package nft_test

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// iptables runs iptables-nft on the gateway: the unpacked one, or the host's.
func (s *scene) iptables(name string, args ...string) string {
	s.Helper()
	out, err := s.tryIptables(name, args...)
	if err != nil {
		s.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (s *scene) tryIptables(name string, args ...string) (string, error) {
	s.Helper()
	tree := labtest.Tree(s.T)
	cmd := tree.Command(s.Context(), s.Gateway, nil, name, args...)
	if err := tree.Command(s.Context(), s.Gateway, nil, "test", "-x", "/usr/sbin/iptables-nft").Run(); err != nil {
		if _, err := exec.LookPath(name); errors.Is(err, exec.ErrNotFound) {
			s.Skip("there is no iptables-nft, unpacked or installed")
		}
		cmd = s.Gateway.Command(s.Context(), name, args...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// asIptables is our rule in the words of iptables.
const asIptables = `-A FORWARD -m connmark --mark 0x400/0x400 -m comment --comment "ftpgate ftpgate" -j ACCEPT`

// wantIptables checks that iptables reads its table, with our rule at the head of
// FORWARD, once, or not at all.
func (s *scene) wantIptables(name string, present bool) {
	s.Helper()
	out := s.iptables(name, "-S", "FORWARD")
	switch lines := strings.Split(out, "\n"); {
	case !present && strings.Contains(out, "ftpgate"), present && (strings.Count(out, "ftpgate ftpgate") != 1 || lines[1] != asIptables):
		s.Errorf("%s -S FORWARD with our rule %v:\n%s", name, present, out)
	}
}

func TestAcceptInIptables(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		for _, a := range both {
			name, chain := "iptables", "ip filter FORWARD"
			if a == v6 {
				name, chain = "ip6tables", "ip6 filter FORWARD"
			}
			s.Run(name, func(t *testing.T) {
				s := &scene{s.Lab, t, s.without}
				s.iptables(name, "-P", "FORWARD", "DROP") // no rules: only names tell
				ln := s.listen(s.Server, a.servers)
				s.setAccept(table, chain)
				s.wantAccepted(table, nft.AcceptPresent)
				s.wantIptables(name, true)
				p := a.passive(61000, ln)
				s.mustOpen(table, p)
				s.pass(s.Client, p.At, ln)

				s.setAccept(table)
				s.wantIptables(name, false)
				s.iptables(name, "-A", "FORWARD", "-m", "conntrack", "--ctstate", "INVALID", "-j", "DROP")
				s.setAccept(table, chain)
				s.wantIptables(name, true)
				s.mustOpen(table, p)
				s.pass(s.Client, p.At, ln)
				s.iptables(name, "-I", "FORWARD", "-i", "wan", "-j", "DROP") // an admin goes on working
				s.iptables(name, "-D", "FORWARD", "-i", "wan", "-j", "DROP")
				s.setAccept(table)
				s.wantIptables(name, false)
			})
		}
	})
}

// What iptables-save keeps and iptables-restore brings back is ours again, not a
// second rule.
func TestAcceptSurvivesIptablesRestore(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.iptables("iptables", "-P", "FORWARD", "DROP")
		s.setAccept(table, "ip filter FORWARD")
		saved := s.iptables("iptables-save")
		if !strings.Contains(saved, asIptables) {
			s.Fatalf("saved without our rule:\n%s", saved)
		}
		s.watch(table)
		restore := func(rules string) {
			s.Helper()
			s.iptables("sh", "-c", "iptables-restore <<'END'\n"+rules+"END")
		}
		restore(saved)
		s.until("the restored rule is replaced", func() bool { return s.nftHasOne("ip filter FORWARD") && table.AcceptReinserts() == 1 })
		s.wantIptables("iptables", true)
		restore("*filter\n:FORWARD DROP [0:0]\n-A FORWARD -i lo -j ACCEPT\nCOMMIT\n")
		s.until("the dropped rule is put back", func() bool { return table.AcceptReinserts() == 2 })
		s.wantIptables("iptables", true)
		s.iptables("iptables", "-D", "FORWARD", "1")
		s.until("the deleted rule is put back", func() bool { return table.AcceptReinserts() == 3 })
		s.wantIptables("iptables", true)
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		s.pass(s.Client, p.At, ln)
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		s.wantIptables("iptables", false)
	})
}

func (s *scene) nftHasOne(chain string) bool {
	return strings.Count(s.nft("list chain "+chain), "ftpgate ftpgate") == 1
}

// A table named as one of iptables, but written with nft, keeps rules of nft.
func TestAcceptInANativeTableNamedFilter(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.nft("add table ip filter; add chain ip filter forward { type filter hook forward priority 0; policy drop; };" +
			"add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; };" +
			"add rule ip6 filter FORWARD ct state established accept")
		s.setAccept(table, "ip filter forward", "ip6 filter FORWARD")
		s.wantAccepted(table, nft.AcceptPresent, nft.AcceptPresent)
		s.wantAcceptRule("ip filter forward")
		s.wantAcceptRule("ip6 filter FORWARD")
		if out := s.nft("--debug=netlink", "list", "ruleset"); strings.Contains(out, "match name") {
			s.Errorf("a match of xtables:\n%s", out)
		}
	})
}
