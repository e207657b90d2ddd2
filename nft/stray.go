package nft

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

const (
	// strayLife is how long a SYN that nothing let in is on record.
	strayLife = 5 * time.Minute

	// maxStray bounds them, by family. In a full set the kernel notes nothing
	// new until something expires.
	maxStray = 1 << 13

	// strayShare bounds what reading them costs, as maxStrayAge does how old an
	// answer may be: it is used again for so many times what it took to get.
	strayShare  = 10
	maxStrayAge = 100 * time.Millisecond
)

// A Stray is a connection that was tried where a pinhole is or was, and that
// nothing let in: it came from elsewhere, too late, or as the second.
type Stray struct {
	From netip.Addr
	At   netip.AddrPort // what it dialled
	Seen time.Time      // its latest SYN
}

// strays are those of one family as they were read last. Guarded by Table.readMu.
type strays struct {
	all   []Stray // the latest first
	fresh time.Time
}

// Strays returns who has tried to connect to the address and port without being
// let in, the latest first and each source once. The kernel notes them while a
// pinhole is open there and for three minutes after, and keeps them for five. It
// forgets them when the table is put in place anew, and notes no more than 8192:
// who scans our ports from many addresses can fill that, and harm nothing else.
// Connections that this host dials itself are not noted.
func (t *Table) Strays(at netip.AddrPort) ([]Stray, error) {
	at = netip.AddrPortFrom(plain(at.Addr()), at.Port())
	if !at.IsValid() {
		return nil, fmt.Errorf("look for strays: %v is no address and port", at)
	}
	t.mu.Lock()
	rules := t.rules
	t.mu.Unlock()
	t.readMu.Lock()
	defer t.readMu.Unlock()
	if t.reader == nil {
		return nil, ErrClosed
	}
	i := half(at.Addr())
	if now := time.Now(); now.After(t.strays[i].fresh) {
		elements, err := t.reader.GetSetElements(rules.halves[i].stray)
		if err != nil {
			return nil, fmt.Errorf("look for strays at %v: %w", at, classify(err))
		}
		all := parseStrays(elements, now)
		took := time.Since(now)
		t.strays[i] = strays{all, now.Add(took + min(strayShare*took, maxStrayAge))}
	}
	var found []Stray
	for _, s := range t.strays[i].all {
		if s.At == at {
			found = append(found, s)
		}
	}
	return found, nil
}

// parseStrays reads what the rules have written.
func parseStrays(elements []nftables.SetElement, now time.Time) []Stray {
	all := make([]Stray, 0, len(elements))
	for _, e := range elements {
		if k, ok := parseOriginal(e.Key); ok {
			life := cmp.Or(e.Timeout, strayLife) // the kernel does not say one that is the set's own
			all = append(all, Stray{From: k.from, At: k.at, Seen: now.Add(e.Expires - life)})
		}
	}
	slices.SortFunc(all, func(a, b Stray) int { return b.Seen.Compare(a.Seen) })
	return all
}

// strayRules see SYNs that nothing let in. They are in pre, not in enter: what
// this host dials itself, the relay's connections too, is no stray.
func (r *ruleset) strayRules(c *nftables.Chain) {
	for i := range families {
		f, h := &families[i], &r.halves[i]
		r.rule(c, slices.Concat(f.isTCP(), isSYN(), f.loadDialled(keyReg, keyReg+f.words()), lookup(h.leased, 0),
			f.loadPacket(), []expr.Any{&expr.Dynset{SetName: h.stray.Name, Operation: opUpdate, SrcRegKey: keyReg}})...)
	}
}

func strayText() []string {
	return []string{
		"tcp flags syn / fin,syn,rst,ack ip daddr . tcp dport @leased4 update @stray4 { ip saddr . ip daddr . tcp dport }",
		"tcp flags syn / fin,syn,rst,ack ip6 daddr . tcp dport @leased6 update @stray6 { ip6 saddr . ip6 daddr . tcp dport }",
	}
}

// notes reports whether a set lets nobody in, and says what to note or to refuse.
func notes(s *nftables.Set) bool {
	switch s.Name {
	case "leased4", "leased6", "stray4", "stray6", "cut4", "cut6":
		return true
	}
	return false
}

// newStrays makes the sets of what is leased and of who missed it.
func (r *ruleset) newStrays(f *family) (leased, stray *nftables.Set) {
	leased = newSet(r.table, "leased"+f.suffix, f.addr, nftables.TypeInetService)
	leased.HasTimeout, leased.Timeout, leased.Size = true, leaseLife, mapSize
	stray = newSet(r.table, "stray"+f.suffix, f.addr, f.addr, nftables.TypeInetService)
	stray.HasTimeout, stray.Timeout, stray.Size = true, strayLife, maxStray
	stray.Dynamic = true // the rules add to it
	return leased, stray
}
