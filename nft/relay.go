package nft

import (
	"errors"
	"fmt"
	"slices"
)

// SetRelay says on which ports this process takes connections that pinholes lead
// to it, to relay them. Whoever dials one of them at an address of this host
// without a pinhole is dropped in the kernel, the host itself too. Connections
// that run stay.
func (t *Table) SetRelay(ports ...uint16) error {
	next := slices.Compact(slices.Sorted(slices.Values(ports)))
	if slices.Contains(next, 0) {
		return errors.New("set the relay ports: 0 is no port")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.commit(func() error {
		if err := t.conn.SetAddElements(t.rules.relayPort, portElements(without(next, t.relay))); err != nil {
			return err
		}
		return t.remove(t.rules.relayPort, portElements(without(t.relay, next)))
	})
	if err != nil {
		return fmt.Errorf("set the relay ports: %w", classify(err))
	}
	t.relay = next
	return nil
}

// without returns what of a is not in b.
func without[E comparable](a, b []E) []E {
	return slices.DeleteFunc(slices.Clone(a), func(e E) bool { return slices.Contains(b, e) })
}
