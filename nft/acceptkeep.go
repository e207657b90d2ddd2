package nft

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// keepAccepts puts the rule into each chain that misses it, and logs what has
// become different. who changed something, if it is known.
// The caller holds mu.
func (t *Table) keepAccepts(who string) (reinserted bool) {
	for _, a := range t.accepts {
		before := a.AcceptState
		inserted, err := t.keepAccept(a)
		a.Status, a.Reason = t.acceptStatus(a.Chain, err)
		back := inserted && a.had // whatever became of its chain in between
		if a.had = a.had || inserted; back {
			reinserted = true
			t.acceptReinserts.Add(1)
		}
		if inserted || a.AcceptState != before {
			t.logAccept(a.AcceptState, back, who)
		}
	}
	return reinserted
}

func (t *Table) logAccept(now AcceptState, back bool, who string) {
	attrs := []slog.Attr{slog.String("chain", now.Chain.String())}
	if who != "" {
		attrs = append(attrs, slog.String("who", who))
	}
	level, message := slog.LevelInfo, "accept rule inserted"
	switch {
	case now.Status != AcceptPresent:
		level, message = slog.LevelError, "accept rule not in place"
		attrs = append(attrs, slog.String("why", now.Reason))
	case back:
		level, message = slog.LevelWarn, "accept rule put back"
	}
	t.log.LogAttrs(context.Background(), level, message, attrs...)
}

// keepAccept inserts the rule unless it is there. What carries our tag and is
// not what we inserted, such as a rule from a saved ruleset, is replaced.
func (t *Table) keepAccept(a *acceptChain) (inserted bool, err error) {
	for try := 0; ; try++ {
		rules, err := t.chainRules(a.Chain)
		if err != nil {
			return false, err
		}
		tagged := slices.DeleteFunc(rules, func(r foreignRule) bool { return r.comment != t.acceptTag() })
		if len(tagged) == 1 && a.rule != nil && slices.Equal(tagged[0].print, a.rule) {
			return false, nil
		}
		xt, err := t.madeByIptables(a.Chain)
		if err != nil {
			return false, err
		}
		for _, r := range tagged {
			if err := t.conn.DelRule(r.ref(a.Chain)); err != nil {
				return false, err
			}
		}
		t.conn.InsertRule(t.acceptRule(a.Chain, xt))
		err = t.conn.Flush()
		switch {
		case errors.Is(err, unix.ENOENT) && try < 3: // changed since we looked
			continue
		case err != nil:
			return false, err
		}
		return true, t.learnAccept(a)
	}
}

// learnAccept reads back what was inserted.
func (t *Table) learnAccept(a *acceptChain) error {
	rules, err := t.chainRules(a.Chain)
	if err != nil {
		return err
	}
	a.rule = nil
	for _, r := range rules {
		if r.comment == t.acceptTag() {
			a.rule = r.print
		}
	}
	return nil
}

// acceptStatus makes a status of what came of keeping a rule.
func (t *Table) acceptStatus(c ChainRef, err error) (AcceptStatus, string) {
	switch {
	case err == nil:
		return AcceptPresent, ""
	case errors.Is(err, errNoChain):
		return AcceptNoChain, err.Error()
	case errors.Is(err, unix.EPERM):
		return AcceptRefused, t.refusal(c)
	}
	return AcceptMissing, err.Error()
}

// refusal says whose table it is: only owners make the kernel refuse.
func (t *Table) refusal(c ChainRef) string {
	whose := "another process"
	t.readMu.Lock()
	there, err := t.reader.ListTableOfFamily(c.Table, c.Family)
	t.readMu.Unlock()
	var e *OwnedError
	if err == nil && errors.As(ownedError(there), &e) && e.PID != 0 {
		whose = fmt.Sprintf("%s (pid %d)", e.Program, e.PID)
	}
	return fmt.Sprintf("the table belongs to %s, which alone can change it: let that accept ct mark & %#x == %#x", whose, t.cfg.Mark, t.cfg.Mark)
}

// dropAccepts removes our rules from the chains that keeps does not name. At
// first it looks everywhere, later where we have put some.
func (t *Table) dropAccepts(keeps func(ChainRef) bool) error {
	if !t.swept {
		for _, family := range refFamilies {
			rules, err := t.foreignRules(family, "", "")
			if err != nil {
				return err
			}
			if err := t.dropTagged(rules, keeps); err != nil {
				return err
			}
		}
		t.swept = true
		return nil
	}
	var errs []error
	for _, a := range t.accepts {
		if keeps(a.Chain) {
			continue
		}
		rules, err := t.foreignRules(a.Chain.Family, a.Chain.Table, a.Chain.Chain)
		errs = append(errs, err, t.dropTagged(rules, keeps))
	}
	return errors.Join(errs...)
}

// dropTagged removes those of the rules that are ours, each by itself: one that
// is gone, or in a table that somebody owns by now, does not keep the others.
func (t *Table) dropTagged(rules []foreignRule, keeps func(ChainRef) bool) error {
	var errs []error
	for _, r := range rules {
		if r.comment != t.acceptTag() || keeps(r.chain) || r.chain.table() == (tableRef{nftables.TableFamilyINet, t.cfg.Name}) {
			continue
		}
		if err := t.conn.DelRule(r.ref(r.chain)); err != nil {
			return err
		}
		if err := t.conn.Flush(); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove the accept rule from chain %v: %w", r.chain, err))
		}
	}
	return errors.Join(errs...)
}
