package nft

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// NFT_DYNSET_OP_ADD and so on, which x/sys/unix does not have.
const (
	opAdd    = 0
	opUpdate = 1
	opDelete = 2
)

// ctStatusDNAT is IPS_DST_NAT: the connection goes elsewhere than it dialled.
const ctStatusDNAT = 1 << 5

// enterRules see the first packet of a connection as it arrives. A control
// connection is only marked. A SYN that finds its pinhole is marked and
// translated; the lookup comes first, since a miss breaks off the rule. What
// then still dials a relay port of this host has come around the pinholes.
func (r *ruleset) enterRules(c *nftables.Chain) {
	r.toListeners(c, r.setMark()...)
	for i := range families {
		f, h := &families[i], &r.halves[i]
		dnat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto),
			RegAddrMin: f.value, RegProtoMin: f.value + f.words()}
		r.rule(c, slices.Concat(f.isTCP(), isSYN(), f.loadPacket(),
			lookup(h.dnat, f.value), r.setMark(), []expr.Any{dnat})...)
	}
	r.rule(c, slices.Concat(isTCP(), isSYN(), []expr.Any{jump(wideChain)})...)
	r.rule(c, slices.Concat(isTCP(), isSYN(), []expr.Any{jump(passChain)})...)
	r.rule(c, slices.Concat(isTCP(), []expr.Any{loadPort(keyReg)}, lookup(r.relayPort, 0), isLocal(),
		[]expr.Any{&expr.Verdict{Kind: expr.VerdictDrop}})...)
}

// toListeners adds rules for connections to the control listeners. A port of any
// address is one of this host: others may have something there too.
func (r *ruleset) toListeners(c *nftables.Chain, do ...expr.Any) {
	for i := range families {
		f, h := &families[i], &r.halves[i]
		r.rule(c, slices.Concat(f.isTCP(), f.loadDialled(keyReg, keyReg+f.words()), lookup(h.listen, 0), do)...)
	}
	r.rule(c, slices.Concat(isTCP(), []expr.Any{loadPort(keyReg)}, lookup(r.listenPort, 0), isLocal(), do)...)
}

// leaveRules see the first packet of a marked connection as it leaves. Deletion is
// what makes a pinhole good for one connection, also for one that leads where it
// was dialled, which the kernel does not count as translated. What is not in one
// of our maps is left alone: it may be the flow of another table with our mark.
func (r *ruleset) leaveRules(c *nftables.Chain) {
	r.rule(c, jump(wideUsedChain))
	for i := range families {
		f, h := &families[i], &r.halves[i]
		original := append(f.isFamily(), f.loadOriginal()...)
		snat := &expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.nfproto), RegAddrMin: f.value}
		snatPort := *snat
		snatPort.RegProtoMin = f.value + f.words()

		r.rule(c, slices.Concat(original, f.loadDialled(f.value, f.value+f.words()), []expr.Any{
			&expr.Dynset{SetName: h.dnat.Name, Operation: opDelete, SrcRegKey: keyReg, SrcRegData: f.value}})...)
		r.rule(c, slices.Concat(original, lookup(h.active, f.value), []expr.Any{&snatPort})...)
		r.rule(c, slices.Concat(original, lookup(h.via, f.value), []expr.Any{snat})...)
		r.passViaRule(c, f, h)
		r.rule(c, slices.Concat(f.isFamily(), dnatted(), []expr.Any{f.loadDest(keyReg)}, lookup(h.out, f.value), []expr.Any{snat})...)
	}
}

// Expressions.

func jump(chain string) expr.Any { return &expr.Verdict{Kind: expr.VerdictJump, Chain: chain} }

func meta(k expr.MetaKey, want byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: k, Register: keyReg},
		&expr.Cmp{Op: expr.CmpOpEq, Register: keyReg, Data: []byte{want}},
	}
}

func isTCP() []expr.Any { return meta(expr.MetaKeyL4PROTO, unix.IPPROTO_TCP) }

func (f *family) isFamily() []expr.Any { return meta(expr.MetaKeyNFPROTO, f.nfproto) }

func (f *family) isTCP() []expr.Any { return append(f.isFamily(), isTCP()...) }

// isSYN is tcp flags syn / fin,syn,rst,ack. Without it a stray ACK would make
// a connection too (nf_conntrack_tcp_loose) and burn the pinhole.
func isSYN() []expr.Any {
	const fin, syn, rst, ack = 1, 2, 4, 16
	return []expr.Any{
		&expr.Payload{DestRegister: keyReg, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: keyReg, DestRegister: keyReg, Len: 1,
			Mask: []byte{fin | syn | rst | ack}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpEq, Register: keyReg, Data: []byte{syn}},
	}
}

// isLocal is fib daddr type local, notLocal its opposite, and isForeign the same
// of the source.
func isLocal() []expr.Any   { return local(expr.Fib{FlagDADDR: true}, expr.CmpOpEq) }
func notLocal() []expr.Any  { return local(expr.Fib{FlagDADDR: true}, expr.CmpOpNeq) }
func isForeign() []expr.Any { return local(expr.Fib{FlagSADDR: true}, expr.CmpOpNeq) }

func local(fib expr.Fib, op expr.CmpOp) []expr.Any {
	fib.Register, fib.ResultADDRTYPE = keyReg, true
	return []expr.Any{
		&fib,
		&expr.Cmp{Op: op, Register: keyReg, Data: binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)},
	}
}

func loadPort(reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2}
}

func (f *family) loadDest(reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: f.dstOffset, Len: f.addr.Bytes}
}

func (f *family) loadSource(reg uint32) expr.Any {
	return &expr.Payload{DestRegister: reg, Base: expr.PayloadBaseNetworkHeader, Offset: f.srcOffset, Len: f.addr.Bytes}
}

// loadDialled puts the packet's destination address and port into registers.
func (f *family) loadDialled(addr, port uint32) []expr.Any {
	return []expr.Any{f.loadDest(addr), loadPort(port)}
}

// loadPacket puts the key of a pinhole into registers as the packet has it,
// loadOriginal as the packet had it before translation.
func (f *family) loadPacket() []expr.Any {
	w := f.words()
	return append([]expr.Any{f.loadSource(keyReg)}, f.loadDialled(keyReg+w, keyReg+2*w)...)
}

func (f *family) loadOriginal() []expr.Any {
	w := f.words()
	return []expr.Any{
		&expr.Ct{Register: keyReg, Key: f.ctSource, OptDirection: true},
		&expr.Ct{Register: keyReg + w, Key: f.ctDest, OptDirection: true},
		&expr.Ct{Register: keyReg + 2*w, Key: expr.CtKeyPROTODST, OptDirection: true},
	}
}

// lookup goes on only if the key is in the set; a map's datum goes to dest.
func lookup(s *nftables.Set, dest uint32) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: keyReg, SetName: s.Name, DestRegister: dest, IsDestRegSet: dest != 0}}
}

// setMark is ct mark set ct mark | MARK, in the form (old & ^MARK) ^ MARK.
func (r *ruleset) setMark() []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: scratch, Key: expr.CtKeyMARK},
		&expr.Bitwise{SourceRegister: scratch, DestRegister: scratch, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(^r.mark), Xor: binaryutil.NativeEndian.PutUint32(r.mark)},
		&expr.Ct{Register: scratch, Key: expr.CtKeyMARK, SourceRegister: true},
	}
}

func (r *ruleset) marked() []expr.Any {
	return ctBits(expr.CtKeyMARK, r.mark, expr.CmpOpEq, r.mark)
}

// dnatted keeps the marked control connections to ourselves out of out4.
func dnatted() []expr.Any {
	return ctBits(expr.CtKeySTATUS, ctStatusDNAT, expr.CmpOpNeq, 0)
}

func ctBits(k expr.CtKey, mask uint32, op expr.CmpOp, want uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: keyReg, Key: k},
		&expr.Bitwise{SourceRegister: keyReg, DestRegister: keyReg, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(mask), Xor: binaryutil.NativeEndian.PutUint32(0)},
		&expr.Cmp{Op: op, Register: keyReg, Data: binaryutil.NativeEndian.PutUint32(want)},
	}
}
