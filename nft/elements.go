package nft

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Open opens a pinhole; it is true in the kernel when Open returns. Opening the
// same pinhole again gives it a fresh timeout.
func (t *Table) Open(p Pinhole) error {
	p, err := p.normal(t.cfg.Timeout)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Flows > 0 {
		return wrap("open", p, t.openPass(p))
	}
	if p.Peers > 0 {
		if err := t.addWide(p.wideKey()); err != nil {
			return wrap("open", p, classify(err))
		}
	}
	now := time.Now()
	before, was := t.book.open[p.key()]
	kind, fresh := t.book.place(p, now)
	spent := t.book.takeSpent(now)
	err = t.commit(func() error {
		for _, r := range spent {
			if err := t.removeSource(r); err != nil {
				return err
			}
		}
		if was {
			if err := t.makeRoom(before, p); err != nil {
				return err
			}
		}
		return t.enqueue(p, kind, fresh, now)
	})
	if err != nil {
		return fmt.Errorf("open pinhole %v: %w", p, classify(err))
	}
	for _, r := range spent {
		delete(t.book.open, r.key())
	}
	t.book.add(p, kind, fresh, now)
	return nil
}

// Close closes a pinhole. It may be used, expired or closed already. Another
// one that took its place is left alone, and so is a connection that runs.
func (t *Table) Close(p Pinhole) error {
	p, err := p.normal(t.cfg.Timeout)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Flows > 0 {
		return wrap("close", p, t.closePass(p))
	}
	r, ok := t.book.find(p)
	if !ok || r.used {
		return nil
	}
	err = t.commit(func() error { return t.removeAll(r) })
	if err != nil {
		return fmt.Errorf("close pinhole %v: %w", p, classify(err))
	}
	delete(t.book.open, p.key())
	return nil
}

// wrap says of an error what was being done.
func wrap(what string, p Pinhole, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s pinhole %v: %w", what, p, err)
}

// Used tells that a pinhole was consumed, as conntrack reports it. Nothing is
// written: the kernel has removed it itself. Used saves the write of Close, and
// keeps a reinstalled table from opening the pinhole again.
func (t *Table) Used(p Pinhole) {
	p, err := p.normal(t.cfg.Timeout)
	if err != nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.book.use(p)
}

// Renew gives a pinhole that is still there a fresh timeout, p.Timeout; one that
// was used or expired stays away and Renew returns ErrMissing. The kernel checks
// this in the transaction that renews: only a connection that comes in the few
// microseconds between that check and the commit leaves the pinhole open again.
func (t *Table) Renew(p Pinhole) error {
	p, err := p.normal(t.cfg.Timeout)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.Flows > 0 {
		return wrap("renew", p, t.renewPass(p))
	}
	r, ok := t.book.find(p)
	if !ok || r.used {
		return fmt.Errorf("renew pinhole %v: %w", p, ErrMissing)
	}
	now := time.Now()
	err = t.commit(func() error {
		// Plain deletion, not destruction: it fails, and with it the whole
		// transaction, when the pinhole is gone.
		if err := t.conn.SetDeleteElements(t.rules.pinholeSet(p), r.dnatElement()); err != nil {
			return err
		}
		if err := t.removeSource(r); err != nil {
			return err
		}
		return t.enqueue(p, r.source, false, now)
	})
	switch {
	case errors.Is(err, unix.ENOENT) && t.intact() == nil:
		return fmt.Errorf("renew pinhole %v: %w", p, ErrMissing)
	case err != nil:
		return fmt.Errorf("renew pinhole %v: %w", p, classify(err))
	}
	t.book.add(p, r.source, false, now)
	return nil
}

// commit sends what enqueue adds as one transaction. If that fails because the
// table is not what we installed, it reinstalls the table and tries once more.
// The caller holds mu.
func (t *Table) commit(enqueue func() error) error {
	if t.closed {
		return ErrClosed
	}
	for try := 0; ; try++ {
		if err := enqueue(); err != nil {
			return err
		}
		err := t.conn.Flush()
		if try > 0 || !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EBUSY) {
			return err
		}
		damage := t.intact()
		if damage == nil {
			return err
		}
		if e := t.reinstall(damage.Error()); e != nil {
			return errors.Join(err, e)
		}
	}
}

// enqueue adds a pinhole's elements to the next batch: the usual one has one, and
// one more where none was open lately.
func (t *Table) enqueue(p Pinhole, kind sourceKind, fresh bool, now time.Time) error {
	err := t.enqueueLeased(p, now)
	if err != nil {
		return err
	}
	if s := t.rules.sourceSet(p, kind); s != nil {
		err = t.conn.SetAddElements(s, p.sourceElement())
	} else if fresh {
		err = t.enqueueFresh(p)
	}
	if err != nil {
		return err
	}
	return t.conn.SetAddElements(t.rules.pinholeSet(p), p.dnatElement())
}

// enqueueFresh writes the permanent element of a target, which may have another.
// Either may be none.
func (t *Table) enqueueFresh(p Pinhole) error {
	target := p.To.Addr()
	out := t.rules.halves[half(p.From)].out
	if before, known := t.book.out[target]; known {
		if err := t.remove(out, outElements(target, before)); err != nil {
			return err
		}
	}
	return t.conn.SetAddElements(out, outElements(target, p.Source.Addr()))
}

// makeRoom removes what an earlier pinhole of the same key may have left. If
// that goes elsewhere its own element stays: when it is not consumed yet, the
// kernel refuses the new one.
func (t *Table) makeRoom(before record, p Pinhole) error {
	if before.To == p.To && !before.used {
		return t.removeAll(before)
	}
	return t.removeSource(before)
}

func (t *Table) removeAll(r record) error {
	if err := t.remove(t.rules.pinholeSet(r.Pinhole), r.dnatElement()); err != nil {
		return err
	}
	return t.removeSource(r)
}

func (t *Table) removeSource(r record) error {
	if s := t.rules.sourceSet(r.Pinhole, r.source); s != nil {
		return t.remove(s, r.sourceElement())
	}
	return nil
}

func (t *Table) remove(s *nftables.Set, e []nftables.SetElement) error {
	return remove(t.conn, t.features.Destroy, s, e)
}

// remove enqueues the deletion of elements that may be missing. Where the kernel
// cannot do that, it adds them first. Then it fails if the key has other data.
func remove(c *nftables.Conn, destroy bool, s *nftables.Set, e []nftables.SetElement) error {
	if destroy {
		return c.SetDestroyElements(s, e)
	}
	if err := c.SetAddElements(s, e); err != nil {
		return err
	}
	return c.SetDeleteElements(s, e)
}
