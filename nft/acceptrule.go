package nft

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/google/nftables/xt"
)

// acceptRule accepts what carries our mark. Among rules of iptables it is one
// that iptables can read: a rule that it cannot makes it refuse the whole table.
func (t *Table) acceptRule(c ChainRef, iptables bool) *nftables.Rule {
	match := ctBits(expr.CtKeyMARK, t.cfg.Mark, expr.CmpOpEq, t.cfg.Mark)
	if iptables {
		match = []expr.Any{connmark(t.cfg.Mark)}
	}
	return &nftables.Rule{
		Table: &nftables.Table{Family: c.Family, Name: c.Table},
		Chain: &nftables.Chain{Name: c.Chain},
		Exprs: append(match, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictAccept}),
		// iptables shows the comment as a match of its own, -m comment.
		UserData: userdata.AppendString(nil, userdata.TypeComment, t.acceptTag()),
	}
}

// connmark is -m connmark --mark MARK/MARK: struct xt_connmark_mtinfo1, filled up
// to whole 8 bytes.
func connmark(mark uint32) expr.Any {
	info := make(xt.Unknown, 16)
	binary.NativeEndian.PutUint32(info, mark)     // mark
	binary.NativeEndian.PutUint32(info[4:], mark) // mask
	return &expr.Match{Name: "connmark", Rev: 1, Info: &info}
}

// What iptables-nft makes and reads. It calls a table incompatible in which it
// finds anything else.
var (
	iptablesTables = []string{"filter", "nat", "mangle", "raw", "security"}
	iptablesHooks  = []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}
	iptablesExprs  = []string{"match", "target", "counter", "immediate", "payload", "meta", "cmp", "bitwise", "limit", "log", "range"}
)

// madeByIptables reports whether iptables-nft keeps the table of a chain. Its
// name is one of five; then its rules tell: xt matches and targets come from
// iptables alone, and what iptables cannot read is by somebody who does without
// it. Where there are no rules that tell, the names of the base chains do.
func (t *Table) madeByIptables(c ChainRef) (bool, error) {
	if c.Family == nftables.TableFamilyINet || !slices.Contains(iptablesTables, c.Table) {
		return false, nil
	}
	rules, err := t.foreignRules(c.Family, c.Table, "")
	if err != nil {
		return false, err
	}
	readable := true
	for _, r := range rules {
		if r.comment == t.acceptTag() {
			continue
		}
		for _, e := range r.exprs {
			if e == "match" || e == "target" {
				return true, nil
			}
			readable = readable && slices.Contains(iptablesExprs, e)
		}
	}
	if !readable {
		return false, nil
	}
	chains, err := t.baseChains(c.table())
	if err != nil {
		return false, err
	}
	for _, name := range chains {
		if !slices.Contains(iptablesHooks, name) {
			return false, nil
		}
	}
	return len(chains) > 0, nil
}
