package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// install puts the static ruleset in place of whatever is there, in one batch:
// running connections do not lose nat in between. Pinholes are not part of it.
// The caller holds mu, or is Open.
func (t *Table) install() error {
	for try := 0; ; try++ {
		there, err := findTable(t.conn, t.cfg.Name)
		if err != nil {
			return err
		}
		if err := t.foreign(there); err != nil {
			return err
		}
		t.rules = newRuleset(t.cfg.Name, t.cfg.Mark, t.cfg.Timeout, t.flags())
		for _, flows := range t.limits {
			t.rules.addLimit(t.rules.newLimit(flows))
		}
		for _, k := range t.lengths {
			t.rules.addWide(k, t.rules.newWide(k))
		}
		t.rules.transparent = t.rules.newTransparent(t.routeMark)
		t.rules.intercept = t.rules.newIntercept(t.intercepts)
		if there != nil {
			t.conn.DelTable(there)
		}
		if err := t.enqueueStatic(); err != nil {
			return err
		}
		err = t.conn.Flush()
		switch {
		case err == nil:
			t.book.leases = newLeases()
			if t.handle, err = tableHandle(t.handles, t.cfg.Name); err != nil {
				return err
			}
			return t.fillPass()
		case errors.Is(err, unix.ENOENT) && try < 3: // removed since we looked
		case errors.Is(err, unix.EPERM) && try < 1: // taken since we looked
		default:
			return err
		}
	}
}

func (t *Table) enqueueStatic() error {
	if err := t.rules.enqueue(t.conn); err != nil {
		return err
	}
	return t.permanent(t.conn.SetAddElements)
}

// permanent calls write for every set whose elements stay, ports to pass apart:
// they can be too many for one batch.
func (t *Table) permanent(write func(*nftables.Set, []nftables.SetElement) error) error {
	if err := t.listen.each(t.rules, write); err != nil {
		return err
	}
	if err := write(t.rules.relayPort, portElements(t.relay)); err != nil {
		return err
	}
	return t.book.eachOut(t.rules, write)
}

// findTable returns nil if there is no table of that name.
func findTable(c *nftables.Conn, name string) (*nftables.Table, error) {
	table, err := c.ListTableOfFamily(name, nftables.TableFamilyINet)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for the table: %w", err)
	}
	return table, nil
}
