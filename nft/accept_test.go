package nft_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/nftables"

	"ftpgate/nft"
)

func TestParseChainRef(t *testing.T) {
	for _, s := range []string{"inet filter input", "ip filter FORWARD", "ip6 my-table ufw6-user-forward"} {
		ref, err := nft.ParseChainRef(s)
		if err != nil || ref.String() != s {
			t.Errorf("%q: %v, %v", s, ref, err)
		}
	}
	ref, err := nft.ParseChainRef("  ip6\tfilter  forward ")
	if want := (nft.ChainRef{Family: nftables.TableFamilyIPv6, Table: "filter", Chain: "forward"}); err != nil || ref != want {
		t.Errorf("%v, %v; want %v", ref, err, want)
	}
	for _, s := range []string{"", "filter input", "bridge filter input", "inet filter input 0", "INET filter input"} {
		if ref, err := nft.ParseChainRef(s); err == nil {
			t.Errorf("%q was taken for %v", s, ref)
		}
	}
}

func refs(s *scene, names ...string) []nft.ChainRef {
	s.Helper()
	var all []nft.ChainRef
	for _, name := range names {
		ref, err := nft.ParseChainRef(name)
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, ref)
	}
	return all
}

func (s *scene) setAccept(table *nft.Table, names ...string) {
	s.Helper()
	if err := table.SetAccept(refs(s, names...)); err != nil {
		s.Fatal(err)
	}
}

// wantAccepted checks the states of the chains, in the order of SetAccept.
func (s *scene) wantAccepted(table *nft.Table, want ...nft.AcceptStatus) {
	s.Helper()
	var got []nft.AcceptStatus
	for _, a := range table.Accepted() {
		got = append(got, a.Status)
		if (a.Reason == "") != (a.Status == nft.AcceptPresent) {
			s.Errorf("%v is %v because %q", a.Chain, a.Status, a.Reason)
		}
	}
	if !slices.Equal(got, want) {
		s.Fatalf("%v, want %v", table.Accepted(), want)
	}
}

func (s *scene) accepted(table *nft.Table) bool {
	return !slices.ContainsFunc(table.Accepted(), func(a nft.AcceptState) bool { return a.Status != nft.AcceptPresent })
}

const acceptRule = `ct mark & 0x00000400 == 0x00000400 counter packets `

// adminChain returns the rules of a chain of the admin's.
func (s *scene) adminChain(name string) []string {
	s.Helper()
	var rules []string
	for _, line := range strings.Split(s.nft("list chain "+name), "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "table") &&
			!strings.HasPrefix(line, "chain") && !strings.HasPrefix(line, "type") && line != "}" {
			rules = append(rules, line)
		}
	}
	return rules
}

// wantAcceptRule checks that our rule is at the head of a chain, once.
func (s *scene) wantAcceptRule(chain string) {
	s.Helper()
	rules := s.adminChain(chain)
	ours := slices.DeleteFunc(slices.Clone(rules), func(r string) bool { return !strings.Contains(r, `comment "ftpgate ftpgate"`) })
	if len(ours) != 1 || rules[0] != ours[0] || !strings.HasPrefix(ours[0], acceptRule) {
		s.Errorf("chain %s:\n%s", chain, strings.Join(rules, "\n"))
	}
}

func (s *scene) wantNoAcceptRule(chain string) {
	s.Helper()
	if rules := strings.Join(s.adminChain(chain), "\n"); strings.Contains(rules, "ftpgate") {
		s.Errorf("left behind in chain %s:\n%s", chain, rules)
	}
}

func TestAcceptIn(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.dropAll()
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		s.swallowed(s.Client, p.At, "forward")

		s.setAccept(table, "inet admin forward", "inet admin input")
		s.wantAccepted(table, nft.AcceptPresent, nft.AcceptPresent)
		s.pass(s.Client, p.At, ln)
		s.setAccept(table, "inet admin input", "inet admin forward", "inet admin input") // twice changes nothing
		s.wantAccepted(table, nft.AcceptPresent, nft.AcceptPresent)
		s.wantAcceptRule("inet admin forward")
		s.wantAcceptRule("inet admin input")

		s.setAccept(table, "inet admin input")
		s.wantNoAcceptRule("inet admin forward")
		s.wantAcceptRule("inet admin input")
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		s.wantNoAcceptRule("inet admin input")
	})
}

func TestAcceptInOurOwnTable(t *testing.T) {
	eachKernel(t, func(s *scene) {
		if err := s.open(nft.Config{}).SetAccept(refs(s, "inet ftpgate pre")); err == nil {
			s.Error("an accept rule in our own table")
		}
	})
}

// A Table that died leaves rules behind, perhaps with another mark.
func TestAcceptRulesOfTheDead(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.dropAll()
		for _, chain := range []string{"input", "forward"} {
			for range 2 {
				s.nft("insert rule inet admin " + chain + ` ct mark & 0x80 == 0x80 counter accept comment "ftpgate ftpgate"`)
			}
			s.nft("insert rule inet admin " + chain + ` ct mark & 0x80 == 0x80 counter accept comment "ftpgate doors"`)
		}
		table := s.open(nft.Config{})
		s.setAccept(table, "inet admin input")
		s.wantAcceptRule("inet admin input")
		if rules := s.adminChain("inet admin forward"); len(rules) != 3 || !strings.Contains(rules[0], "ftpgate doors") {
			s.Errorf("want the other table's rule alone and first: %v", rules)
		}
		if err := table.Remove(); err != nil {
			s.Fatal(err)
		}
		if rules := s.adminChain("inet admin input"); len(rules) != 3 || !strings.Contains(rules[0], "ftpgate doors") {
			s.Errorf("want the other table's rule alone and first: %v", rules)
		}
	})
}
