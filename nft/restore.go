package nft

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// restore opens the pinholes of the book again, in a table that has none, with
// the time that they had left. Those that a connection has used stay away: the
// kernel knows the connection, or knew it and Used was called.
// The caller holds mu.
func (t *Table) restore(now time.Time) (int, error) {
	passes, err := t.restorePasses(now)
	if err != nil || len(t.book.open) == 0 {
		return passes, err
	}
	used, err := t.usedFlows()
	if err != nil {
		return 0, fmt.Errorf("restore pinholes: tell used from open: %w", err)
	}
	t.book.spent = nil
	restored := passes
	const batch = 60 // pinholes, of three elements that are written, one of them after its removal
	for records := range slices.Chunk(slices.Collect(maps.Values(t.book.open)), batch) {
		for _, r := range records {
			left := r.deadline.Add(-slack).Sub(now).Truncate(time.Millisecond)
			if r.used || used.has(r.Pinhole) || left <= 0 {
				delete(t.book.open, r.key())
				continue
			}
			p := r.Pinhole
			p.Timeout = left
			if err := t.enqueue(p, r.source, false, now); err != nil {
				return restored, fmt.Errorf("restore pinhole %v: %w", p, err)
			}
			t.book.leases.add(p, now)
			restored++
		}
		if err := t.conn.Flush(); err != nil {
			return restored, fmt.Errorf("restore pinholes: %w", err)
		}
	}
	return restored, nil
}

// restorePasses does the same for passes, which nothing uses up. One that has
// expired stays in the book: its holder may still renew it.
func (t *Table) restorePasses(now time.Time) (int, error) {
	restored := 0
	const batch = 100
	for passes := range slices.Chunk(slices.Collect(maps.Values(t.book.passes)), batch) {
		for _, p := range passes {
			left := p.deadline.Sub(now).Truncate(time.Millisecond)
			if left <= 0 {
				continue
			}
			p.Timeout = left
			if err := t.enqueuePass(p.Pinhole, p.source); err != nil {
				return restored, fmt.Errorf("restore pinhole %v: %w", p, err)
			}
			restored++
		}
		if err := t.conn.Flush(); err != nil {
			return restored, fmt.Errorf("restore pinholes: %w", err)
		}
	}
	return restored, nil
}
