package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/google/nftables"
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

// intact returns what is wrong with the table in the kernel, nil if it is as we
// installed it. The caller holds mu.
func (t *Table) intact() error {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	there, err := findTable(t.reader, t.cfg.Name)
	switch {
	case err != nil:
		return err
	case there == nil:
		return errors.New("the table was removed")
	case there.Flags != t.flags():
		return errors.New("the flags of the table were changed")
	}
	installed := map[string][]uint64{}
	for _, r := range t.rules.rules {
		installed[r.Chain.Name] = append(installed[r.Chain.Name], r.Handle)
	}
	for _, ch := range t.rules.chains {
		rules, err := t.reader.GetRules(t.rules.table, ch)
		if err != nil {
			return fmt.Errorf("read chain %s: %w", ch.Name, err)
		}
		if !sameHandles(rules, installed[ch.Name]) {
			return fmt.Errorf("the rules of chain %s were changed", ch.Name)
		}
	}
	return nil
}

func sameHandles(rules []*nftables.Rule, want []uint64) bool {
	if len(rules) != len(want) {
		return false
	}
	for i, r := range rules {
		if r.Handle != want[i] {
			return false
		}
	}
	return true
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
