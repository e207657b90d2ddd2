package rules

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// step is the evaluation of one rule. The registers are those of the kernel's
// machine, 64 bytes.
type step struct {
	*walker
	rule      *Rule
	registers value
	matches   answer
	branches  []branch
	marked    value // what the rule writes to the connection's mark; nil: nothing
}

const registerBytes = unix.NFT_REG_SIZE * 4

// unknownRegisters are those at the begin of a rule. Values are never changed in place.
var unknownRegisters = anything(registerBytes)

// offset is where a register begins. NFT_REG_1 to 4 are of 16 bytes, from
// NFT_REG32_00 on they are of 4 and lie in the same place.
func offset(register uint32) int {
	if register >= unix.NFT_REG32_00 {
		return int(register-unix.NFT_REG32_00) * unix.NFT_REG32_SIZE
	}
	return int(max(register, 1)-1) * unix.NFT_REG_SIZE
}

func (s *step) load(register uint32, v value) {
	if padding := -v.size() & 3; padding > 0 {
		v = append(v[:len(v):len(v)], exactly(make([]byte, padding))...)
	}
	s.registers = s.registers.put(offset(register), v).slice(0, registerBytes)
}

func (s *step) read(register uint32, size int) value {
	return s.registers.slice(offset(register), size)
}

// and makes the rule match no more certainly than a.
func (s *step) and(a answer) { s.matches = min(s.matches, a) }

func (s *step) verdict(v int32) { s.branches = []branch{{verdict: v}} }

// take carries out one expression.
func (s *step) take(e expression) {
	switch e.kind {
	case "meta", "ct", "payload", "fib", "immediate":
		s.takeLoad(e)
	case "bitwise", "byteorder":
		s.takeOperation(e)
	case "cmp", "range", "lookup":
		s.takeMatch(e)
	case "match":
		s.and(s.packet.xtMatch(e.text(unix.NFTA_MATCH_NAME), e.number(unix.NFTA_MATCH_REV), e.attributes[unix.NFTA_MATCH_INFO]))
	case "target":
		s.takeTarget(e)
	case "nat", "masq", "redir", "tproxy", "synproxy":
		s.verdict(verdictAccept)
	case "reject":
		s.verdict(verdictDrop)
	case "queue":
		s.verdict(verdictQueue)
	case "counter", "log", "last", "notrack", "dup", "flow_offload":
	case "objref":
		if kind := e.number(unix.NFTA_OBJREF_IMM_TYPE); kind == unix.NFT_OBJECT_LIMIT || kind == unix.NFT_OBJECT_QUOTA {
			s.and(maybe)
		}
	case "dynset":
		if e.has(unix.NFTA_DYNSET_EXPR) {
			s.and(maybe)
		}
	default: // what it loads, or whether it matches, is not known
		s.registers = unknownRegisters
		s.and(maybe)
	}
}

func (s *step) takeLoad(e expression) {
	switch e.kind {
	case "meta":
		if e.has(unix.NFTA_META_DREG) {
			s.load(e.number(unix.NFTA_META_DREG), s.packet.meta(e.number(unix.NFTA_META_KEY)))
		}
	case "ct":
		s.takeCT(e)
	case "payload":
		if e.has(unix.NFTA_PAYLOAD_DREG) {
			s.load(e.number(unix.NFTA_PAYLOAD_DREG), s.payload(e))
		}
	case "fib":
		s.load(e.number(unix.NFTA_FIB_DREG), s.fib(e))
	case "immediate":
		data := e.nested(unix.NFTA_IMMEDIATE_DATA)
		if e.number(unix.NFTA_IMMEDIATE_DREG) == unix.NFT_REG_VERDICT {
			s.branches = []branch{newBranch(data.nested(unix.NFTA_DATA_VERDICT))}
		} else {
			s.load(e.number(unix.NFTA_IMMEDIATE_DREG), exactly(data[unix.NFTA_DATA_VALUE]))
		}
	}
}

func (s *step) takeCT(e expression) {
	key := e.number(unix.NFTA_CT_KEY)
	switch {
	case e.has(unix.NFTA_CT_DREG):
		s.load(e.number(unix.NFTA_CT_DREG), s.packet.ct(key))
	case key == unix.NFT_CT_MARK:
		s.marked = s.read(e.number(unix.NFTA_CT_SREG), 4)
	}
}

func (s *step) payload(e expression) value {
	from, n := int(e.number(unix.NFTA_PAYLOAD_OFFSET)), int(e.number(unix.NFTA_PAYLOAD_LEN))
	switch e.number(unix.NFTA_PAYLOAD_BASE) {
	case unix.NFT_PAYLOAD_NETWORK_HEADER:
		return s.network.slice(from, n)
	case unix.NFT_PAYLOAD_TRANSPORT_HEADER:
		return s.transport.slice(from, n)
	}
	return anything(n)
}

// fib knows one answer: that the packet is for this host.
func (s *step) fib(e expression) value {
	const asksDestination = unix.NFTA_FIB_F_DADDR
	if e.number(unix.NFTA_FIB_RESULT) == unix.NFT_FIB_RESULT_ADDRTYPE && s.packet.ToHost &&
		e.number(unix.NFTA_FIB_FLAGS)&(unix.NFTA_FIB_F_SADDR|asksDestination) == asksDestination {
		return native(unix.RTN_LOCAL)
	}
	if e.number(unix.NFTA_FIB_RESULT) == unix.NFT_FIB_RESULT_OIFNAME {
		return anything(unix.IFNAMSIZ)
	}
	return anything(4)
}

func (s *step) takeOperation(e expression) {
	if e.kind == "byteorder" {
		n := int(e.number(unix.NFTA_BYTEORDER_LEN))
		v := s.read(e.number(unix.NFTA_BYTEORDER_SREG), n)
		s.load(e.number(unix.NFTA_BYTEORDER_DREG), swapped(v, int(e.number(unix.NFTA_BYTEORDER_SIZE))))
		return
	}
	const operation, boolean = 6, 0 // NFTA_BITWISE_OP, NFT_BITWISE_MASK_XOR
	n := int(e.number(unix.NFTA_BITWISE_LEN))
	mask := e.nested(unix.NFTA_BITWISE_MASK)[unix.NFTA_DATA_VALUE]
	xor := e.nested(unix.NFTA_BITWISE_XOR)[unix.NFTA_DATA_VALUE]
	v := anything(n)
	if e.number(operation) == boolean && len(mask) == n && len(xor) == n {
		v = s.read(e.number(unix.NFTA_BITWISE_SREG), n).masked(mask, xor)
	}
	s.load(e.number(unix.NFTA_BITWISE_DREG), v)
}

// swapped turns each word around, on machines where that makes a difference.
func swapped(v value, word int) value {
	if native(1)[0].lo[0] == 0 {
		return v
	}
	if !v.exact() || word == 0 {
		return anything(v.size())
	}
	b := v.lo()
	for from := 0; from+word <= len(b); from += word {
		for i, j := from, from+word-1; i < j; i, j = i+1, j-1 {
			b[i], b[j] = b[j], b[i]
		}
	}
	return exactly(b)
}

func (s *step) takeMatch(e expression) {
	switch e.kind {
	case "cmp":
		data := e.nested(unix.NFTA_CMP_DATA)[unix.NFTA_DATA_VALUE]
		s.and(compare(s.read(e.number(unix.NFTA_CMP_SREG), len(data)), e.number(unix.NFTA_CMP_OP), data))
	case "range":
		from := e.nested(unix.NFTA_RANGE_FROM_DATA)[unix.NFTA_DATA_VALUE]
		to := e.nested(unix.NFTA_RANGE_TO_DATA)[unix.NFTA_DATA_VALUE]
		a := s.read(e.number(unix.NFTA_RANGE_SREG), len(from)).between(from, to)
		if e.number(unix.NFTA_RANGE_OP) == unix.NFT_RANGE_NEQ {
			a = a.not()
		}
		s.and(a)
	case "lookup":
		s.takeLookup(e)
	}
}

func compare(v value, op uint32, b []byte) answer {
	least, greatest := make([]byte, len(b)), bytes.Repeat([]byte{0xff}, len(b))
	switch op {
	case unix.NFT_CMP_EQ:
		return v.equals(b)
	case unix.NFT_CMP_NEQ:
		return v.equals(b).not()
	case unix.NFT_CMP_LTE:
		return v.between(least, b)
	case unix.NFT_CMP_GT:
		return v.between(least, b).not()
	case unix.NFT_CMP_GTE:
		return v.between(b, greatest)
	case unix.NFT_CMP_LT:
		return v.between(b, greatest).not()
	}
	return maybe
}

func (s *step) takeLookup(e expression) {
	all := s.rules.load(s.rule.Chain, e.text(unix.NFTA_LOOKUP_SET))
	const widest = unix.NFT_REG_SIZE * 4
	key := s.read(e.number(unix.NFTA_LOOKUP_SREG), widest)
	if all == nil {
		s.registers = unknownRegisters
		s.and(maybe)
		return
	}
	found, has := all.find(key)
	if e.number(unix.NFTA_LOOKUP_FLAGS)&unix.NFT_LOOKUP_F_INV != 0 {
		has = has.not()
	}
	s.and(has)
	if has == no || !e.has(unix.NFTA_LOOKUP_DREG) {
		return
	}
	for _, f := range found {
		if f.branch != nil {
			s.branches = append(s.branches, *f.branch)
		}
	}
	if s.branches == nil && len(found) > 0 {
		v := anything(len(found[0].data))
		if has == yes {
			v = exactly(found[0].data)
		}
		s.load(e.number(unix.NFTA_LOOKUP_DREG), v)
	}
}
