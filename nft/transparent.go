package nft

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// Chains of SetTransparent.
const (
	divertChain = "divert" // marks packets of our own transparent sockets, for the route home
	stayChain   = "stay"   // keeps the source with which they leave
)

// SetTransparent makes room for sockets of ours that bear the addresses of others
// (IP_TRANSPARENT). Packets that are for them get the mark, which the rule of
// AddReturnRoute brings home; other bits of the packet's mark stay. What leaves
// from such a socket keeps its source, whatever an admin's nat does. Mark 0 takes
// the chains out again: sockets that run then hear nothing more.
func (t *Table) SetTransparent(mark uint32) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if mark == t.routeMark {
		return nil
	}
	var made part
	err := t.commit(func() error {
		if err := t.rules.transparent.remove(t.conn); err != nil {
			return err
		}
		made = t.rules.newTransparent(mark)
		return made.enqueue(t.conn)
	})
	if err != nil {
		return fmt.Errorf("set up transparent sources: %w", classify(err))
	}
	t.rules.transparent, t.routeMark = made, mark
	return nil
}

// newTransparent makes chains and rules that are not in the ruleset yet, none for
// mark 0.
func (r *ruleset) newTransparent(mark uint32) (p part) {
	if mark == 0 {
		return p
	}
	accept := nftables.ChainPolicyAccept
	divert := &nftables.Chain{Table: r.table, Name: divertChain, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle, Policy: &accept}
	before := *nftables.ChainPriorityNATSource - 1
	stay := &nftables.Chain{Table: r.table, Name: stayChain, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPostrouting, Priority: &before, Policy: &accept}
	p.chains = []*nftables.Chain{divert, stay}
	rule := func(c *nftables.Chain, exprs ...expr.Any) {
		p.rules = append(p.rules, &nftables.Rule{Table: r.table, Chain: c, Exprs: exprs})
	}
	rule(divert, slices.Concat(isTCP(), isTransparent(), setMetaMark(mark), []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}})...)
	for i := range families {
		f := &families[i]
		rule(stay, slices.Concat(f.isTCP(), isOutgoing(), isForeign(), []expr.Any{f.loadSource(keyReg),
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.nfproto), RegAddrMin: keyReg}})...)
	}
	return p
}

// isTransparent is socket transparent 1.
func isTransparent() []expr.Any {
	return []expr.Any{
		&expr.Socket{Key: expr.SocketKeyTransparent, Register: keyReg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: keyReg, Data: []byte{1}},
	}
}

// isOutgoing is meta iif 0: no interface has brought the packet, a socket of this
// host has sent it.
func isOutgoing() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyIIF, Register: keyReg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: keyReg, Data: make([]byte, 4)},
	}
}

// setMetaMark is meta mark set meta mark | MARK.
func setMetaMark(mark uint32) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: scratch},
		&expr.Bitwise{SourceRegister: scratch, DestRegister: scratch, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^mark), Xor: binaryutil.NativeEndian.PutUint32(mark)},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: scratch},
	}
}
