package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// With the line in the firewall's own files, a reload in the middle of sessions
// cuts nothing, and the next transfers work.
func TestBesideReloadsWithTheLineInItsFiles(t *testing.T) {
	for _, n := range neighbours {
		t.Run(n.name, func(t *testing.T) {
			bothOwners(t, func(t *testing.T, table string) {
				t.Parallel()
				b := moveIn(t, n, true, "", table)
				b.start()
				b.survives(func() { b.script("reload") })
			})
		})
	}
}

// survives has sessions and a download of each family go on over a reload, with
// pinholes that are open meanwhile.
func (b *beside) survives(reload func()) {
	b.t.Helper()
	var after []func()
	for _, at := range bothFamilies {
		c := login(b.t, b.lab.Client, at)
		b.transfersOf(c, at)
		d := setUp(b.t, c, "EPSV")
		after = append(after, func() {
			b.t.Helper()
			if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
				b.t.Errorf("the pinhole from before the reload, at %s: %v", at, err)
			}
			b.transfersOf(c, at)
			c.Close() // or a daemon that ends would wait for it
		})
		if b.untranslates() {
			continue
		}
		s := b.stream(at)
		after = append(after, func() {
			b.t.Helper()
			if err := s.finish(); err != nil {
				b.t.Errorf("the download that ran, at %s: %v", at, err)
			}
			s.client.Close()
		})
	}
	reload()
	if b.exposed() { // until we notice; an owned table is not
		eventually(b.t, "the table is put back", func() bool { return b.metric("ftpgate_nft_reinstalls_total") != "0" })
	}
	for _, f := range after {
		f()
	}
}

// With accept_in the firewall's files stay as they are: the rule is there, comes
// back when a reload drops it, and goes with the daemon.
func TestBesideKeepsTheRule(t *testing.T) {
	for _, n := range neighbours {
		if len(n.chains) == 0 {
			continue
		}
		t.Run(n.name, func(t *testing.T) {
			bothOwners(t, func(t *testing.T, table string) {
				t.Parallel()
				if table == "" {
					table = "[nft]\n"
				}
				b := moveIn(t, n, false, "", table+fmt.Sprintf("accept_in = [\"%s\"]\n", strings.Join(n.chains, `", "`)))
				b.start()
				b.wantRules(1)
				b.survives(func() {
					b.script("reload")
					b.rulesComeBack()
				})
				b.wantPutBack()
				b.passesAtOnce()
				b.stop()
				b.wantRules(0)
			})
		})
	}
}

// passesAtOnce makes a transfer right after a reload, whether the rule is back or
// not: what is dropped for a moment is sent again.
func (b *beside) passesAtOnce() {
	b.t.Helper()
	for _, at := range bothFamilies {
		c := login(b.t, b.lab.Client, at)
		b.script("reload")
		b.transfersOf(c, at)
		c.Close()
	}
	b.rulesComeBack()
}

// rules counts ours in a chain.
func (b *beside) rules(chain string) int {
	out, err := b.asInstalled("nft list chain " + chain)
	if err != nil {
		return -1 // not there now
	}
	return strings.Count(out, `"ftpgate ftpgate"`)
}

// wantRules wants so many of our rules in each chain, and iptables to read its
// tables with them. The metric tells of them while the daemon runs.
func (b *beside) wantRules(want int) {
	b.t.Helper()
	for _, chain := range b.chains {
		if n := b.rules(chain); n != want {
			b.t.Errorf("%d of our rules in chain %s, want %d", n, chain, want)
		}
		if v := b.metric(fmt.Sprintf("ftpgate_accept_rule_present{chain=%q}", chain)); want > 0 && v != "1" {
			b.t.Errorf("the metric of chain %s is %q, want 1", chain, v)
		}
		family, name, _ := strings.Cut(chain, " filter ")
		program := map[string]string{"ip": "iptables", "ip6": "ip6tables"}[family]
		if program == "" {
			continue
		}
		rule := fmt.Sprintf(`-A %s -m connmark --mark 0x400/0x400 -m comment --comment "ftpgate ftpgate" -j ACCEPT`, name)
		for _, look := range []string{program + " -S", program + "-save -t filter"} {
			out, err := b.asInstalled(look)
			if err != nil || strings.Count(out, rule) != want {
				b.t.Errorf("%s: %v, want %d times %s in\n%s", look, err, want, rule, out)
			}
		}
	}
}

// rulesComeBack waits for the rules, and says how long.
func (b *beside) rulesComeBack() {
	b.t.Helper()
	began := time.Now()
	for _, chain := range b.chains {
		eventually(b.t, "the rule is back in chain "+chain, func() bool { return b.rules(chain) == 1 })
	}
	b.t.Logf("the rules were back after %v; a second is promised", time.Since(began))
	b.wantRules(1)
}

// wantPutBack reads in the log, of each chain, which program dropped the rule. Where
// the chain itself was gone for a moment, that is said first.
func (b *beside) wantPutBack() {
	b.t.Helper()
	for _, chain := range b.chains {
		said := 0
		for line := range strings.Lines(b.log.String()) {
			_, who, found := strings.Cut(line, " who=")
			if !found || !strings.Contains(line, `msg="accept rule `) || !strings.Contains(line, fmt.Sprintf("chain=%q", chain)) {
				continue
			}
			said++
			if b.drops == "" || !strings.Contains(who, b.drops) {
				b.t.Errorf("want %q as who dropped it: %s", b.drops, line)
			}
		}
		if said == 0 && b.drops != "" {
			b.t.Errorf("the log does not say who dropped the rule of chain %s", chain)
		}
	}
}
