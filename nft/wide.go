package nft

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// Chains for pinholes with Peers, with rules for each length of prefix that was
// asked for. A rule cannot look up an address in prefixes and take the prefix out
// again: it masks the address and looks for what is left.
const (
	wideChain     = "wide"     // takes a SYN to where its pinhole leads
	wideUsedChain = "wideused" // deletes the pinhole, and sets the source
)

// wideVia and wideKeep begin the names of sets for sources.
const (
	wideVia  = "widevia"
	wideKeep = "widekeep"
)

// wides are what pinholes of one length need, in one family: maps like dnat4 and
// via4 for masked addresses, and the set of those that keep the source that they
// come with, whichever it is.
type wides struct {
	part
	pinholes, via, keep *nftables.Set
}

// wideKey is one length of prefix in one family.
type wideKey struct{ half, bits int }

func (p Pinhole) wideKey() wideKey { return wideKey{half(p.From), p.Peers} }

func (k wideKey) name(what string) string {
	return fmt.Sprintf("%s%s_%d", what, families[k.half].suffix, k.bits)
}

// wideBits is the length of prefix of what a map of that name has.
func wideBits(what, name string, f *family) (bits int, ok bool) {
	number, ok := strings.CutPrefix(name, what+f.suffix+"_")
	bits, err := strconv.Atoi(number)
	return bits, ok && err == nil
}

// holdsPinholes reports whether a map of that name has pinholes of a family and
// of which prefixes, or else sources of them. Peers below zero are neither.
func holdsPinholes(name string, f *family) (pinholes bool, peers int) {
	if bits, ok := wideBits(wideChain, name, f); ok {
		return true, bits
	}
	for _, what := range []string{wideVia, wideKeep} {
		if bits, ok := wideBits(what, name, f); ok {
			return false, bits
		}
	}
	switch name {
	case "dnat" + f.suffix:
		return true, 0
	case "via" + f.suffix, "active" + f.suffix:
		return false, 0
	}
	return false, -1
}

// newWide makes maps and rules that are not in the ruleset yet.
func (r *ruleset) newWide(k wideKey) wides {
	f, h := &families[k.half], &r.halves[k.half]
	w := wides{
		pinholes: r.pinholeMap(k.name(wideChain), f, h.dnat.DataType),
		via:      r.pinholeMap(k.name(wideVia), f, h.via.DataType),
		keep:     r.pinholeMap(k.name(wideKeep), f, h.via.DataType),
	}
	w.keep.IsMap, w.keep.DataType = false, nftables.SetDatatype{}
	w.pinholes.Dynamic = true // the rules delete from it
	w.sets = []filledSet{{Set: w.pinholes}, {Set: w.via}, {Set: w.keep}}

	mask := f.mask(k.bits)
	packet, original := f.loadPacket(), f.loadOriginal()
	packet, original = slices.Insert(packet, 1, mask), slices.Insert(original, 1, mask)
	dnat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: f.value, RegProtoMin: f.value + f.words()}
	snat := &expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.nfproto), RegAddrMin: f.value}
	rule := func(chain *nftables.Chain, exprs ...expr.Any) *nftables.Rule {
		w.rules = append(w.rules, &nftables.Rule{Table: r.table, Chain: chain, Exprs: append(f.isFamily(), exprs...)})
		return w.rules[len(w.rules)-1]
	}
	rule(r.wide, slices.Concat(isTCP(), packet, lookup(w.pinholes, f.value), r.setMark(), []expr.Any{dnat})...)
	// Who had a pinhole of his own does not use up that of all.
	exact := rule(r.wideUsed, slices.Concat(f.loadOriginal(), lookup(h.dnat, f.value), []expr.Any{&expr.Verdict{Kind: expr.VerdictReturn}})...)
	exact.UserData = userdata.AppendString(nil, userdata.TypeComment, "what dnat"+f.suffix+" has")
	rule(r.wideUsed, slices.Concat(original, f.loadDialled(f.value, f.value+f.words()), []expr.Any{
		&expr.Dynset{SetName: w.pinholes.Name, Operation: opDelete, SrcRegKey: keyReg, SrcRegData: f.value}})...)
	rule(r.wideUsed, slices.Concat(original, lookup(w.via, f.value), []expr.Any{snat})...)
	same := *snat
	same.RegAddrMin = keyReg
	rule(r.wideUsed, slices.Concat(original, lookup(w.keep, 0), []expr.Any{f.loadSource(keyReg), &same})...)
	return w
}

// mask cuts the address in the first register of a key.
func (f *family) mask(bits int) expr.Any {
	mask := make([]byte, f.addr.Bytes)
	for i := range bits {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return &expr.Bitwise{SourceRegister: keyReg, DestRegister: keyReg, Len: f.addr.Bytes, Mask: mask, Xor: make([]byte, len(mask))}
}

// addWide makes maps and rules for pinholes of one length, unless they are there.
// The caller holds mu.
func (t *Table) addWide(k wideKey) error {
	if _, ok := t.rules.wides[k]; ok {
		return nil
	}
	var w wides
	err := t.commit(func() error {
		w = t.rules.newWide(k)
		return w.enqueue(t.conn)
	})
	if err != nil {
		return fmt.Errorf("admit prefixes of %d bits: %w", k.bits, err)
	}
	t.rules.addWide(k, w)
	t.lengths = append(t.lengths, k)
	return nil
}

func (r *ruleset) addWide(k wideKey, w wides) {
	r.wides[k] = w
	r.wideOrder = append(r.wideOrder, k)
}

// pinholeSet is where a pinhole is.
func (r *ruleset) pinholeSet(p Pinhole) *nftables.Set {
	if p.Peers > 0 {
		return r.wides[p.wideKey()].pinholes
	}
	return r.halves[half(p.From)].dnat
}

// sourceSet is where the source of a pinhole is that has an element for it, nil
// for others.
func (r *ruleset) sourceSet(p Pinhole, kind sourceKind) *nftables.Set {
	h, w := &r.halves[half(p.From)], r.wides[p.wideKey()]
	switch {
	case kind == sourceActive:
		return h.active
	case kind != sourceVia:
		return nil
	case p.Peers == 0:
		return h.via
	case !p.Source.IsValid():
		return w.keep
	}
	return w.via
}

// checkPeers says what makes a Pinhole with Peers none, and cuts From to them.
func (p *Pinhole) checkPeers() error {
	if p.Peers == p.From.BitLen() {
		p.Peers = 0
	}
	switch {
	case p.Peers == 0:
	case p.Peers < 0 || p.Peers > p.From.BitLen():
		return fmt.Errorf("peers /%d: no prefix of an address of %d bits", p.Peers, p.From.BitLen())
	case p.Flows != 0:
		return fmt.Errorf("peers /%d: a pass is for one address", p.Peers)
	case p.Source.Port() != 0:
		return fmt.Errorf("peers /%d: several cannot leave from one port", p.Peers)
	}
	p.From = masked(p.From, p.Peers)
	return nil
}

// masked is the address as the rules look it up.
func masked(a netip.Addr, peers int) netip.Addr {
	if peers == 0 {
		return a
	}
	p, _ := a.Prefix(peers)
	return p.Addr()
}

// usedFlows are the connections that came through pinholes.
type usedFlows struct {
	exact map[key]bool
	wide  map[wideFlow]bool
}

// wideFlow has where the connection went, because others may dial the same from
// the same prefix by pinholes of their own.
type wideFlow struct {
	key
	to netip.AddrPort
}

func (u usedFlows) has(p Pinhole) bool {
	if p.Peers > 0 {
		return u.wide[wideFlow{p.key(), p.To}]
	}
	return u.exact[p.key()]
}

// usedFlows asks the kernel.
func (t *Table) usedFlows() (usedFlows, error) {
	flows, err := t.flows.Dump(t.cfg.Mark, t.cfg.Mark)
	if err != nil {
		return usedFlows{}, err
	}
	lengths := slices.Collect(maps.Keys(t.rules.wides))
	used := usedFlows{make(map[key]bool, len(flows)), map[wideFlow]bool{}}
	for _, f := range flows {
		from := f.Orig.Src.Addr()
		used.exact[key{from, f.Orig.Dst, 0}] = true
		for _, k := range lengths {
			if k.half == half(from) {
				used.wide[wideFlow{key{masked(from, k.bits), f.Orig.Dst, k.bits}, f.Reply.Src}] = true
			}
		}
	}
	return used, nil
}
