package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

const (
	// checkEvery is how often we look without being told.
	checkEvery = 30 * time.Second

	// calm is the least time between two repairs by Watch. Another process that
	// also insists must not keep both of us busy.
	calm = 500 * time.Millisecond
)

// Watch puts the table back when somebody removes or changes it, with the
// pinholes that were open and the time that they had left, and the accept rules
// of SetAccept. It returns when ctx is done or the Table is released. It is
// called once at a time. With an owner only the accept rules are watched.
func (t *Table) Watch(ctx context.Context) error {
	var last time.Time
	for {
		c, err := t.monitor.next(ctx, checkEvery)
		if err == nil {
			pause(ctx, time.Until(last.Add(calm)))
		}
		if ctx.Err() != nil || t.released() {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch table inet %s: %w", t.cfg.Name, err)
		}
		repaired, err := t.check(c)
		switch {
		case errors.Is(err, ErrClosed):
			return nil
		case err != nil: // somebody else may own the table now: keep trying
			t.log.LogAttrs(ctx, slog.LevelError, "table not reinstalled", slog.Any("err", err))
		}
		if repaired || err != nil {
			last = time.Now()
		}
	}
}

func (t *Table) released() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// pause waits, or not if ctx is done.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// check repairs what a change of somebody else's has broken.
func (t *Table) check(c change) (repaired bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false, ErrClosed
	}
	anything := c == change{} || c.lost
	if damage := t.damage(c); damage != nil {
		why := damage.Error()
		if c.who != "" {
			why += ": by " + c.who
		}
		repaired, err = true, t.reinstall(why)
	}
	if c.foreign || anything {
		repaired = t.keepAccepts(c.who) || repaired
	}
	return repaired, err
}

// damage returns what is wrong with the table in the kernel after a change, nil
// if it is as we want it. What somebody else writes into our sets is not
// compared, only undone.
func (t *Table) damage(c change) error {
	if t.Owned() {
		return nil
	}
	if err := t.intact(); err != nil {
		return err
	}
	switch {
	case c.elements:
		return errors.New("elements of the table were changed")
	case c.lost:
		return t.emptied(true)
	case c == change{}:
		return t.emptied(false)
	}
	return nil
}

// reinstall puts the table back and opens the pinholes again that were open.
// The caller holds mu.
func (t *Table) reinstall(why string) error {
	if err := t.install(); err != nil {
		return fmt.Errorf("reinstall table inet %s: %w", t.cfg.Name, err)
	}
	n, err := t.restore(time.Now())
	t.reinstalls.Add(1) // who sees it counted finds everything in place
	t.log.LogAttrs(context.Background(), slog.LevelWarn, "table reinstalled",
		slog.String("table", t.cfg.Name), slog.String("why", why), slog.Int("pinholes", n))
	return err
}
