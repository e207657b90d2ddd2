package nft

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// A ChainRef names a chain in somebody else's table.
type ChainRef struct {
	Family       nftables.TableFamily // inet, ip or ip6
	Table, Chain string
}

var refFamilies = map[string]nftables.TableFamily{
	"inet": nftables.TableFamilyINet,
	"ip":   nftables.TableFamilyIPv4,
	"ip6":  nftables.TableFamilyIPv6,
}

// ParseChainRef reads "inet filter input".
func ParseChainRef(s string) (ChainRef, error) {
	words := strings.Fields(s)
	if len(words) != 3 {
		return ChainRef{}, fmt.Errorf("chain %q: want family, table and chain, as in \"inet filter input\"", s)
	}
	family, ok := refFamilies[words[0]]
	if !ok {
		return ChainRef{}, fmt.Errorf("chain %q: family %q is not inet, ip or ip6", s, words[0])
	}
	return ChainRef{family, words[1], words[2]}, nil
}

func (c ChainRef) String() string {
	for name, family := range refFamilies {
		if family == c.Family {
			return name + " " + c.Table + " " + c.Chain
		}
	}
	return fmt.Sprintf("family %d %s %s", c.Family, c.Table, c.Chain)
}

// AcceptStatus says how the accept rule of a chain stands.
type AcceptStatus int

// The statuses.
const (
	AcceptMissing AcceptStatus = iota // not there, and it could not be put there
	AcceptPresent                     // there
	AcceptRefused                     // the kernel lets only the owner of the table write to it
	AcceptNoChain                     // there is no chain of that name
)

func (s AcceptStatus) String() string {
	return [...]string{"missing", "present", "refused", "no such chain"}[s]
}

// AcceptState is how the accept rule of one chain stood when it was last looked at.
type AcceptState struct {
	Chain  ChainRef
	Status AcceptStatus
	Reason string // why it is not present
}

// acceptChain is a chain in which we keep our rule.
type acceptChain struct {
	AcceptState
	had  bool   // our rule has been in it
	rule []byte // as the kernel shows what we inserted; nil: nothing yet
}

// acceptTag is the comment by which our rule is found again.
func (t *Table) acceptTag() string { return "ftpgate " + t.cfg.Name }

// SetAccept says in which chains of other tables to keep the one rule that
// accepts what carries our mark, at their heads. The rule goes from chains that
// are no longer named, and from all with the Table. The first call also removes
// those that a Table of this name left behind when it died.
//
// Where the rule cannot be, Accepted tells and the log did: that is no error
// here. While Watch runs, it is put there when that becomes possible, and put
// back when somebody drops it.
func (t *Table) SetAccept(chains []ChainRef) error {
	var want []ChainRef
	for _, c := range chains {
		if c.Family == nftables.TableFamilyINet && c.Table == t.cfg.Name {
			return fmt.Errorf("keep an accept rule in chain %v: that is our own table", c)
		}
		if !slices.Contains(want, c) {
			want = append(want, c)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if err := t.setAccept(want); err != nil {
		return fmt.Errorf("keep accept rules: %w", err)
	}
	return nil
}

func (t *Table) setAccept(want []ChainRef) error {
	keeps := func(c ChainRef) bool { return slices.Contains(want, c) }
	if err := t.dropAccepts(keeps); err != nil {
		return err
	}
	t.accepts = slices.DeleteFunc(t.accepts, func(a *acceptChain) bool { return !keeps(a.Chain) })
	for _, c := range want {
		if !slices.ContainsFunc(t.accepts, func(a *acceptChain) bool { return a.Chain == c }) {
			t.accepts = append(t.accepts, &acceptChain{AcceptState: AcceptState{Chain: c, Reason: "not looked at yet"}})
		}
	}
	// First watch, then look: what happens in between is not missed.
	if err := t.watchWhatMatters(); err != nil {
		return err
	}
	t.keepAccepts("")
	return nil
}

// Accepted returns how the accept rule of each chain stands.
func (t *Table) Accepted() []AcceptState {
	t.mu.Lock()
	defer t.mu.Unlock()
	states := make([]AcceptState, 0, len(t.accepts))
	for _, a := range t.accepts {
		states = append(states, a.AcceptState)
	}
	return states
}

// AcceptReinserts counts how often an accept rule was put back after somebody
// dropped it.
func (t *Table) AcceptReinserts() uint64 { return t.acceptReinserts.Load() }

// watchWhatMatters subscribes to what others change, if any of it concerns us.
func (t *Table) watchWhatMatters() error {
	var tables []tableRef
	if !t.Owned() {
		tables = append(tables, tableRef{nftables.TableFamilyINet, t.cfg.Name})
	}
	for _, a := range t.accepts {
		tables = append(tables, a.Chain.table())
	}
	return t.monitor.watch(tables)
}
