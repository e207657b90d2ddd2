package rules

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// record is the binary argument of a match or target of xtables: C structures in
// the machine's byte order. What lies beyond its end is zero.
type record []byte

func (r record) byte(at int) byte {
	if at < len(r) {
		return r[at]
	}
	return 0
}

func (r record) short(at int) uint16 {
	if at+2 <= len(r) {
		return binary.NativeEndian.Uint16(r[at:])
	}
	return 0
}

func (r record) long(at int) uint32 {
	if at+4 <= len(r) {
		return binary.NativeEndian.Uint32(r[at:])
	}
	return 0
}

func (r record) text(at, size int) string {
	if at+size > len(r) {
		return ""
	}
	b := r[at : at+size]
	if i := slices.Index(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// xtMatch is what is known of a match of xtables.
func (p Packet) xtMatch(name string, revision uint32, info record) answer {
	switch name {
	case "comment":
		return yes
	case "tcp":
		return p.xtTCP(info)
	case "multiport":
		return p.xtMultiport(revision, info)
	case "connmark": // struct xt_connmark_mtinfo1
		return inverted(decided(p.Mark&info.long(4) == info.long(0)), info.byte(8) != 0)
	case "state": // struct xt_state_info; the bits are those of ct state
		return decided(info.long(0)&p.state() != 0)
	case "conntrack":
		return p.xtConntrack(revision, info)
	case "addrtype":
		return p.xtAddrtype(revision, info)
	}
	return maybe
}

func inverted(a answer, invert bool) answer {
	if invert {
		return a.not()
	}
	return a
}

func (p Ports) within(first, last uint16) answer {
	return p.value().between(binary.BigEndian.AppendUint16(nil, first), binary.BigEndian.AppendUint16(nil, last))
}

// xtTCP reads struct xt_tcp.
func (p Packet) xtTCP(info record) answer {
	const invertFrom, invertTo, invertFlags = 1, 2, 4
	invert := info.byte(11)
	from := inverted(p.FromPorts.within(info.short(0), info.short(2)), invert&invertFrom != 0)
	to := inverted(p.ToPorts.within(info.short(4), info.short(6)), invert&invertTo != 0)
	flags := inverted(decided(p.flags()&info.byte(9) == info.byte(10)), invert&invertFlags != 0)
	option := yes
	if info.byte(8) != 0 {
		option = maybe
	}
	return min(from, to, flags, option)
}

// xtMultiport reads struct xt_multiport_v1.
func (p Packet) xtMultiport(revision uint32, info record) answer {
	const source, destination = 0, 1
	const ports, ranges, invert = 2, 32, 47
	if revision != 1 {
		return maybe
	}
	any := func(port Ports) answer {
		a := no
		for i := 0; i < int(info.byte(1)); i++ {
			first := info.short(ports + 2*i)
			last := first
			if info.byte(ranges+i) != 0 {
				i++
				last = info.short(ports + 2*i)
			}
			a = max(a, port.within(first, last))
		}
		return a
	}
	var a answer
	switch info.byte(0) {
	case source:
		a = any(p.FromPorts)
	case destination:
		a = any(p.ToPorts)
	default:
		a = max(any(p.FromPorts), any(p.ToPorts))
	}
	return inverted(a, info.byte(invert) != 0)
}

// xtConntrack reads struct xt_conntrack_mtinfo1 to 3: state decides, the rest
// may match.
func (p Packet) xtConntrack(revision uint32, info record) answer {
	const flags, inverts, states = 146, 148, 150
	const asksState, alias = 1, 1 << 13
	const translated = 1 << 7 // XT_CONNTRACK_STATE_DNAT
	asked := info.short(flags)
	a := yes
	if asked&asksState != 0 {
		mask := uint32(info.short(states))
		if revision < 2 {
			mask = uint32(info.byte(states))
		}
		state := p.state()
		if p.Translated {
			state |= translated
		}
		a = inverted(decided(mask&state != 0), info.short(inverts)&asksState != 0)
	}
	if asked&^(asksState|alias) != 0 {
		a = min(a, maybe)
	}
	return a
}

// xtAddrtype reads struct xt_addrtype_info_v1, and knows of the destination alone
// that it is of this host.
func (p Packet) xtAddrtype(revision uint32, info record) answer {
	const invertDestination = 2
	source, destination := info.short(0), info.short(2)
	if revision != 1 || !p.ToHost || source != 0 {
		return maybe
	}
	return inverted(decided(destination&(1<<unix.RTN_LOCAL) != 0), info.long(4)&invertDestination != 0)
}

// xtVerdicts are those of targets. The rest go on to the next rule.
var xtVerdicts = map[string]int32{
	"REJECT": verdictDrop, "NFQUEUE": verdictQueue, "DNAT": verdictAccept, "SNAT": verdictAccept, "REDIRECT": verdictAccept,
	"MASQUERADE": verdictAccept, "NETMAP": verdictAccept, "TPROXY": verdictAccept, "SYNPROXY": verdictAccept,
}

func (s *step) takeTarget(e expression) {
	name := e.text(unix.NFTA_TARGET_NAME)
	if v, ends := xtVerdicts[name]; ends {
		s.verdict(v)
	}
	if name == "CONNMARK" {
		s.connmark(record(e.attributes[unix.NFTA_TARGET_INFO]))
	}
}

// connmark reads struct xt_connmark_tginfo1: how the target changes the mark of
// the connection.
func (s *step) connmark(info record) {
	const set, save = 0, 1
	mark, mask, mode := info.long(0), info.long(4), info.byte(12)
	packet := s.packet.PacketMark
	switch {
	case mode == set:
		s.marked = native(s.packet.Mark&^mask ^ mark)
	case mode == save && packet != nil:
		s.marked = native(s.packet.Mark&^mask ^ *packet&info.long(8))
	case mode == save:
		s.marked = anything(4)
	}
}
