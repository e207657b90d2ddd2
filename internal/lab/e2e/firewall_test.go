package e2e

import (
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
	"strings"
	"testing"
)

// What check prints as the ruleset is what run installs.
func TestPrintedRulesetIsTheInstalledOne(t *testing.T) {
	tree := labtest.Tree(t)
	l := newLab(t)
	g := startGateway(t, l, "", "")
	printed, status := g.run("check", "--ruleset", "-c", g.config)
	if status != 0 {
		t.Fatalf("check --ruleset: %s", printed)
	}
	installed, err := nftList(t, tree, l)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lines(installed), lines(printed); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("installed:\n%s\nprinted:\n%s", installed, printed)
	}
}

// lines compares rulesets: nft versions differ in blanks and in how they print
// a table's flags, and an owned table names its owner. The ports of the relay
// are known when it runs.
func lines(s string) []string {
	var out []string
	relay := false
	for line := range strings.Lines(s) {
		if relay && strings.Contains(line, "elements = ") {
			continue
		}
		relay = strings.Contains(line, "set relayport") || relay && !strings.Contains(line, "}")
		line, _, _ = strings.Cut(strings.TrimSpace(line), "# progname")
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "flags owner") {
			out = append(out, line)
		}
	}
	return out
}

// One accept rule for the mark is enough in an admin's input and forward
// chains that drop everything else.
func TestAdminsFirewallNeedsOneLine(t *testing.T) {
	tree := labtest.Tree(t)
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		const accept = `ct mark & 0x00000400 == 0x00000400 counter accept comment "ftpgate"`
		firewall := `table inet filter {
			chain input { type filter hook input priority filter; policy drop; ACCEPT
				iifname "lan" accept; ct state established,related accept; iifname "lo" accept; meta l4proto ipv6-icmp accept; }
			chain forward { type filter hook forward priority filter; policy drop; ACCEPT
			}
		}`
		nft := func(rules string) {
			t.Helper()
			cmd := tree.Command(t.Context(), l.Gateway, nil, "nft", "-f", "-")
			cmd.Stdin = strings.NewReader(rules)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("nft -f: %v: %s", err, out)
			}
		}
		nft(strings.ReplaceAll(firewall, "ACCEPT", ""))
		g := startGateway(t, l, "", table)
		if c, err := ftpc.Dial(impatient{l.Client}, gateway4); err == nil {
			c.Close()
			t.Fatal("the admin's firewall drops nothing; this test shows nothing")
		}
		if out, _ := g.run("check", "-c", g.config); !strings.Contains(out, accept) {
			t.Errorf("check does not print the line:\n%s", out)
		}
		nft("flush table inet filter\ndelete table inet filter\n" + strings.ReplaceAll(firewall, "ACCEPT", accept))
		for at, modes := range map[string][]string{gateway4: {"PASV", "EPSV", "PORT", "EPRT"}, gateway6: {"EPSV", "EPRT"}} {
			for _, mode := range modes {
				c := login(t, l.Client, at)
				if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
					t.Errorf("%s at %s: %v", mode, at, err)
				}
			}
		}
	})
}
