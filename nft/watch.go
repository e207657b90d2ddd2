package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/nftables"
)

// checkEvery is how often the table is looked at without being told.
const checkEvery = 30 * time.Second

// Watch puts the table back when somebody removes or changes it, with the
// pinholes that were open and the time that they had left. It returns when ctx
// is done. With an owner there is nothing to watch for.
func (t *Table) Watch(ctx context.Context) error {
	if t.Owned() {
		<-ctx.Done()
		return nil
	}
	m, err := newMonitor(t)
	if err != nil {
		return fmt.Errorf("watch table inet %s: %w", t.cfg.Name, err)
	}
	defer m.Close()
	for {
		who, err := m.next(ctx, checkEvery)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("watch table inet %s: %w", t.cfg.Name, err)
		}
		if err := t.check(who); err != nil {
			if errors.Is(err, ErrClosed) {
				return nil
			}
			t.log.LogAttrs(ctx, slog.LevelError, "reinstall the table", slog.Any("err", err))
		}
	}
}

// check reinstalls the table if it is not what we installed.
func (t *Table) check(who string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	damage := t.intact()
	if damage == nil {
		return nil
	}
	if who == "" {
		return t.reinstall(damage.Error())
	}
	return t.reinstall(fmt.Sprintf("%v: by %s", damage, who))
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
	t.reinstalls.Add(1)
	n, err := t.restore(time.Now())
	t.log.LogAttrs(context.Background(), slog.LevelWarn, "table reinstalled",
		slog.String("table", t.cfg.Name), slog.String("why", why), slog.Int("pinholes", n))
	return err
}
