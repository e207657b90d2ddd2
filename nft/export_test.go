package nft

import (
	"fmt"
	"slices"
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
