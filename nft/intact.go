package nft

import "fmt"

// Intact returns what is wrong with the table in the kernel, nil if it is as
// we installed it.
func (t *Table) Intact() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if err := t.intact(); err != nil {
		return fmt.Errorf("table inet %s: %w", t.cfg.Name, err)
	}
	return nil
}
