package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
)

// ReplaceByDump puts another table in place of t's, as loading a saved dump
// does: all is as t has it, the handles of its rules too, but not the pinholes.
func (t *Table) ReplaceByDump() error {
	c, err := dial()
	if err != nil {
		return err
	}
	defer c.CloseLasting()
	t.mu.Lock() // Watch puts ours back at once, and writes rules meanwhile
	defer t.mu.Unlock()
	copied := newRuleset(t.cfg.Name, t.cfg.Mark, t.cfg.Timeout, t.flags())
	c.DelTable(copied.table)
	if err := copied.enqueue(c); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return err
	}
	if before, now := t.rules.ruleHandles(), copied.ruleHandles(); !slices.Equal(before, now) {
		return fmt.Errorf("the copy has rules %v, not %v as the original", now, before)
	}
	return nil
}

// Check looks at the table as Watch does now and then, or when events were lost.
func (t *Table) Check(lost bool) error {
	_, err := t.check(change{lost: lost})
	return err
}

func (r *ruleset) ruleHandles() []uint64 {
	var handles []uint64
	for _, rule := range r.allRules() {
		handles = append(handles, rule.Handle)
	}
	return handles
}

// Leased is how long SYNs to an address and port that miss a pinhole are noted.
func (t *Table) Leased(at netip.AddrPort) (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	elements, err := t.conn.FindSetElements(t.rules.halves[half(at.Addr())].leased, Pinhole{At: at}.leasedElement())
	if err != nil || len(elements) != 1 {
		return 0, fmt.Errorf("find the lease of %v: %v, %w", at, elements, err)
	}
	return elements[0].Expires, nil
}

// FillStrays writes SYNs to as many ports from one on, as the rules do.
func (t *Table) FillStrays(from netip.Addr, at netip.AddrPort, n int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range n {
		k := key{from: from, at: netip.AddrPortFrom(at.Addr(), at.Port()+uint16(i))}
		err := t.conn.SetAddElements(t.rules.halves[half(from)].stray, []nftables.SetElement{{Key: k.original()}})
		if err == nil {
			err = t.conn.Flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// ForgetStrays has Strays ask the kernel again.
func (t *Table) ForgetStrays() {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	t.strays = [2]strays{}
}
