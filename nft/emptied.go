package nft

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/nftables"
)

// emptied returns an error if elements that we wrote are not in the kernel: those
// that stay, and with pinholes also those that should be open. The latter takes
// long and is only for when it may be that nobody told us.
// The caller holds mu.
func (t *Table) emptied(pinholes bool) error {
	if err := t.permanent(t.contained); err != nil {
		return err
	}
	for i, to := range t.pass {
		ports := slices.Collect(maps.Keys(to))
		if err := t.contained(t.rules.halves[i].passTo, passToElements(to, ports)); err != nil {
			return err
		}
	}
	for _, s := range t.rules.intercept.sets {
		if err := t.contained(s.Set, s.elements); err != nil {
			return err
		}
	}
	if !pinholes {
		return nil
	}
	return t.closedByOthers(time.Now())
}

// contained returns an error if an element's key is not in its set.
func (t *Table) contained(s *nftables.Set, want []nftables.SetElement) error {
	if len(want) == 0 {
		return nil
	}
	t.readMu.Lock()
	defer t.readMu.Unlock()
	elements, err := t.reader.GetSetElements(s)
	if err != nil {
		return fmt.Errorf("read set %s: %w", s.Name, err)
	}
	there := make(map[string]bool, len(elements))
	for _, e := range elements {
		there[string(e.Key)] = true
	}
	for _, e := range want {
		if !there[string(e.Key)] {
			return fmt.Errorf("elements of set %s were removed", s.Name)
		}
	}
	return nil
}

// closedByOthers returns an error if a pinhole is not in the kernel that is
// neither used nor expired.
func (t *Table) closedByOthers(now time.Time) error {
	if len(t.book.open) == 0 {
		return nil
	}
	t.readMu.Lock()
	listed, err := listAll(t.reader, t.rules)
	t.readMu.Unlock()
	if err != nil {
		return fmt.Errorf("list pinholes: %w", err)
	}
	used, err := t.usedFlows() // after the list: what was used up before is known by now
	if err != nil {
		return fmt.Errorf("tell used pinholes from open ones: %w", err)
	}
	there := make(map[key]bool, len(listed))
	for _, l := range listed {
		there[l.key()] = true
	}
	for k, r := range t.book.open {
		if !r.used && !used.has(r.Pinhole) && !there[k] && now.Before(r.deadline.Add(-slack)) {
			return fmt.Errorf("pinhole %v was removed", r.Pinhole)
		}
	}
	return nil
}
