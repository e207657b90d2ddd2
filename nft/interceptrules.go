package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
)

// interceptChain has the rules of SetIntercept.
const interceptChain = "intercept"

// newIntercept makes sets and rules that are not in the ruleset yet.
func (r *ruleset) newIntercept(intercepts []Intercept) (p part) {
	for i, in := range intercepts {
		name := fmt.Sprintf("intercept%d_", i+1)
		ports := newSet(r.table, name+"ports", nftables.TypeInetService)
		p.sets = append(p.sets, filledSet{ports, portElements(in.Ports)})
		match := slices.Concat([]expr.Any{loadPort(keyReg)}, lookup(ports, 0))
		if len(in.Interfaces) > 0 {
			interfaces := newSet(r.table, name+"interfaces", nftables.TypeIFName)
			interfaces.KeyByteOrder = binaryutil.NativeEndian
			p.sets = append(p.sets, filledSet{interfaces, interfaceElements(in.Interfaces)})
			match = slices.Concat(match, []expr.Any{&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: keyReg}}, lookup(interfaces, 0))
		}
		for family := range families {
			r.interceptFamily(&p, in, family, name, match)
			r.keepDialled(&p, in, family, ports)
		}
	}
	return p
}

// keepDialled keeps the source of what this host dials on intercepted ports. Data
// comes from the address that the dialler chose: if an admin's nat gave the
// control connection another one, the two would not match.
func (r *ruleset) keepDialled(p *part, in Intercept, family int, ports *nftables.Set) {
	f := &families[family]
	if len(ofFamily(in.From, family)) == 0 {
		return
	}
	same := &expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.nfproto), RegAddrMin: keyReg}
	exprs := slices.Concat(isOutgoing(), f.isTCP(), []expr.Any{loadPort(keyReg)}, lookup(ports, 0), []expr.Any{f.loadSource(keyReg), same})
	p.rules = append(p.rules, &nftables.Rule{Table: r.table, Chain: r.post, Exprs: exprs})
}

// interceptFamily adds the half for one family, if From has any of it.
func (r *ruleset) interceptFamily(p *part, in Intercept, family int, name string, match []expr.Any) {
	f := &families[family]
	prefixes := func(what string, all []netip.Prefix) *nftables.Set {
		elements := intervalElements(ofFamily(all, family))
		if len(elements) == 0 {
			return nil
		}
		s := newSet(r.table, name+what+f.suffix, f.addr)
		s.Interval = true
		p.sets = append(p.sets, filledSet{s, elements})
		return s
	}
	from := prefixes("from", in.From)
	if from == nil {
		return
	}
	exprs := slices.Concat(f.isTCP(), isSYN(), match, []expr.Any{f.loadSource(keyReg)}, lookup(from, 0))
	if except := prefixes("except", in.Except); except != nil {
		not := []expr.Any{&expr.Lookup{SourceRegister: keyReg, SetName: except.Name, Invert: true}}
		exprs = slices.Concat(exprs, []expr.Any{f.loadSource(keyReg)}, not, []expr.Any{f.loadDest(keyReg)}, not)
	}
	to, _ := in.target(family)
	exprs = slices.Concat(exprs, notLocal(), r.setMark(), f.takeTo(to))
	p.rules = append(p.rules, &nftables.Rule{Table: r.table, Chain: r.intercepted, Exprs: exprs})
}

// takeTo is dnat to an address and port, or redirect to the port alone.
func (f *family) takeTo(to netip.AddrPort) []expr.Any {
	port := binary.BigEndian.AppendUint16(nil, to.Port())
	if to.Addr().IsUnspecified() {
		return []expr.Any{
			&expr.Immediate{Register: keyReg, Data: port},
			&expr.Redir{RegisterProtoMin: keyReg},
		}
	}
	return []expr.Any{
		&expr.Immediate{Register: keyReg, Data: to.Addr().AsSlice()},
		&expr.Immediate{Register: f.value, Data: port},
		&expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: keyReg, RegProtoMin: f.value},
	}
}

func ofFamily(prefixes []netip.Prefix, family int) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return half(p.Addr()) != family })
}

func interfaceElements(names []string) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, name := range names {
		key := make([]byte, maxInterface+1)
		copy(key, name)
		elements = append(elements, nftables.SetElement{Key: key})
	}
	return elements
}

// intervalElements are the beginnings and ends of what the prefixes of one family
// cover. The kernel wants neither overlapping nor touching intervals.
func intervalElements(prefixes []netip.Prefix) []nftables.SetElement {
	slices.SortFunc(prefixes, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	var elements []nftables.SetElement
	var end netip.Addr // the first address behind the interval; the zero Addr: there is none
	for i, p := range prefixes {
		next := last(p).Next()
		if i > 0 && (!end.IsValid() || p.Addr().Compare(end) <= 0) { // goes on
			if !end.IsValid() || next.IsValid() && next.Compare(end) <= 0 {
				continue
			}
		} else {
			elements = append(closeInterval(elements, end), nftables.SetElement{Key: p.Addr().AsSlice()})
		}
		end = next
	}
	return closeInterval(elements, end)
}

// closeInterval ends the interval that the last element began, if there is one.
func closeInterval(elements []nftables.SetElement, end netip.Addr) []nftables.SetElement {
	switch {
	case len(elements) == 0:
		return elements
	case !end.IsValid():
		elements[len(elements)-1].IntervalOpen = true
		return elements
	}
	return append(elements, nftables.SetElement{Key: end.AsSlice(), IntervalEnd: true})
}

// last is the last address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	host := bytes.Repeat([]byte{0xff}, len(b))
	for i := range p.Bits() {
		host[i/8] &^= 0x80 >> (i % 8)
	}
	for i := range b {
		b[i] |= host[i]
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
