package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"ftpgate/internal/doctor/rules"
)

// words are the language in which a chain's owner speaks of it.
type words int

const (
	nftWords words = iota
	iptablesWords
	ufwWords
	dockerWords
	firewalldWords
)

// builtin are the base chains of iptables-nft.
var builtin = []string{"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"}

// wordsOf tells by the names in the ruleset who made a chain. Without the
// program of iptables nobody is there to be confused by a rule of nft.
func wordsOf(all *rules.Ruleset, c *rules.Chain) words {
	if c.Table == "firewalld" {
		return firewalldWords
	}
	found := nftWords
	for _, o := range all.Chains {
		if !o.Of(c.Family, c.Table) {
			continue
		}
		switch {
		case found == nftWords && o.Base && slices.Contains(builtin, o.Name):
			found = iptablesWords
		case o.Name == "DOCKER-USER":
			found = dockerWords
		case strings.HasPrefix(o.Name, "ufw") && found != dockerWords:
			found = ufwWords
		}
	}
	if iptables(c) == "" {
		return nftWords
	}
	return found
}

// iptables is the program for the family of a chain; "" if the host has none.
// Where that is the legacy one, which does not see the chain, the other is named.
func iptables(c *rules.Chain) string {
	program := "iptables"
	if c.Family == "ip6" {
		program = "ip6tables"
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return ""
	}
	if real, err := filepath.EvalSymlinks(path); err == nil && strings.Contains(filepath.Base(real), "legacy") {
		return program + "-nft"
	}
	return program
}

// advice is what mends a finding: see Finding.
type advice struct {
	mend []string
	edit string
	keep string
}

func (a advice) add(f Finding) Finding {
	f.Mend, f.Edit, f.Keep = a.mend, a.edit, a.keep
	return f
}

// acceptRule is the one rule that nft words need.
func acceptRule(mark uint32) string {
	return fmt.Sprintf("ct mark & 0x%08x == 0x%08x counter accept comment \"ftpgate\"", mark, mark)
}

// acceptMark lets what carries our mark pass a base chain.
func acceptMark(all *rules.Ruleset, c *rules.Chain, mark uint32) advice {
	match := fmt.Sprintf("-m connmark --mark 0x%x/0x%[1]x -j ACCEPT", mark)
	saved := "save the rules as your system does, e.g. by netfilter-persistent save"
	switch wordsOf(all, c) {
	case dockerWords:
		if c.Name == "FORWARD" {
			return advice{mend: []string{iptables(c) + " -I DOCKER-USER " + match}, keep: saved}
		}
	case ufwWords:
		chain, file := "ufw-before-"+strings.ToLower(c.Name), "/etc/ufw/before.rules"
		if c.Family == "ip6" {
			chain, file = "ufw6-before-"+strings.ToLower(c.Name), "/etc/ufw/before6.rules"
		}
		return advice{
			mend: []string{fmt.Sprintf("%s -I %s %s", iptables(c), chain, match)},
			keep: fmt.Sprintf("write -A %s %s into %s, before the other rules of that chain", chain, match, file),
		}
	case nftWords:
		return advice{
			mend: []string{fmt.Sprintf("nft 'insert rule %v %s'", c, acceptRule(mark))},
			keep: "write that rule at the head of the chain in the file that your firewall is loaded from, e.g. /etc/nftables.conf",
		}
	case firewalldWords:
		return advice{
			mend: []string{fmt.Sprintf("nft 'insert rule %v %s'", c, acceptRule(mark))},
			edit: "where firewalld owns its table (NftablesTableOwner in firewalld.conf) it must be told not to first",
			keep: "firewalld forgets the rule when it reloads",
		}
	}
	return advice{mend: []string{fmt.Sprintf("%s -I %s %s", iptables(c), c.Name, match)}, keep: saved}
}

// acceptPort lets clients reach a port of ours. Connections to it carry our mark,
// so that the rule for that serves here too, where the firewall has no word for
// the port.
func acceptPort(all *rules.Ruleset, c *rules.Chain, at netip.AddrPort, zone string, mark uint32) advice {
	switch wordsOf(all, c) {
	case ufwWords:
		to := "any"
		if !at.Addr().IsUnspecified() {
			to = at.Addr().String()
		}
		return advice{mend: []string{fmt.Sprintf("ufw allow proto tcp to %s port %d", to, at.Port())}}
	case firewalldWords:
		in := ""
		if zone != "" {
			in = "--zone=" + zone + " "
		}
		return advice{mend: []string{fmt.Sprintf("firewall-cmd --permanent %s--add-port=%d/tcp", in, at.Port()), "firewall-cmd --reload"}}
	}
	return acceptMark(all, c, mark)
}

// zone is that of firewalld whose chain a packet came through; "" if none.
func zone(hits []rules.Hit) string {
	const prefix = "filter_IN_"
	for _, hit := range hits {
		name, ok := strings.CutPrefix(hit.Rule.Chain.Name, prefix)
		if !ok || strings.HasPrefix(name, "policy_") {
			continue
		}
		for _, part := range []string{"_pre", "_log", "_deny", "_allow", "_post"} {
			name = strings.TrimSuffix(name, part)
		}
		return name
	}
	return ""
}

// remove takes a rule away.
func remove(ctx context.Context, all *rules.Ruleset, r *rules.Rule) advice {
	c := r.Chain
	if w := wordsOf(all, c); w == nftWords || w == firewalldWords {
		return advice{
			mend: []string{fmt.Sprintf("nft delete rule %v handle %d", c, r.Handle)},
			keep: "take it out of the file that your firewall is loaded from too",
		}
	}
	return advice{
		mend: []string{fmt.Sprintf("%s -t %s -D %s", iptables(c), c.Table, specification(ctx, r))},
		keep: "take it away where it was made too: a saved ruleset, ufw's before.rules, a container's published port",
	}
}

// specification names a rule to iptables: as it lists it, since the numbers of
// rules change with every one that is taken away; by number if it does not.
func specification(ctx context.Context, r *rules.Rule) string {
	c, number := r.Chain, strconv.Itoa(r.Number)
	out, err := exec.CommandContext(ctx, iptables(c), "-t", c.Table, "-S", c.Name, number).Output()
	spec, ok := strings.CutPrefix(strings.TrimSpace(string(out)), "-A ")
	if err != nil || !ok || strings.Contains(spec, "\n") {
		return c.Name + " " + number
	}
	return spec
}

// name is a rule in a sentence.
func name(r *rules.Rule) string {
	return fmt.Sprintf("rule %d of chain %v (handle %d)", r.Number, r.Chain, r.Handle)
}
