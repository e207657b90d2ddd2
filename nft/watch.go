package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

const (
	// checkEvery is how often the table is looked at without being told.
	checkEvery = 30 * time.Second

	// calm is the least time between two reinstallations by Watch. Another
	// process that also insists on the table must not keep both of us busy.
	calm = time.Second
)

// Watch puts the table back when somebody removes or changes it, with the
// pinholes that were open and the time that they had left. It returns when ctx
// is done or the Table is released. It is called once at a time. With an owner
// there is nothing to watch for.
func (t *Table) Watch(ctx context.Context) error {
	if t.Owned() {
		<-ctx.Done()
		return nil
	}
	var last time.Time
	for {
		who, err := t.monitor.next(ctx, checkEvery)
		if err == nil {
			pause(ctx, time.Until(last.Add(calm)))
		}
		if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch table inet %s: %w", t.cfg.Name, err)
		}
		reinstalled, err := t.check(who)
		switch {
		case errors.Is(err, ErrClosed):
			return nil
		case err != nil: // somebody else may own the table now: keep trying
			t.log.LogAttrs(ctx, slog.LevelError, "table not reinstalled", slog.Any("err", err))
		}
		if reinstalled || err != nil {
			last = time.Now()
		}
	}
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

// check reinstalls the table if it is not what we installed.
func (t *Table) check(who string) (reinstalled bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false, ErrClosed
	}
	damage := t.intact()
	if damage == nil {
		return false, nil
	}
	why := damage.Error()
	if who != "" {
		why += ": by " + who
	}
	return true, t.reinstall(why)
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
