package rules

import (
	"slices"

	"golang.org/x/sys/unix"
)

// Translates reports whether the rule sends packets to another destination than
// they have: dnat, redirect, tproxy.
func (r *Rule) Translates() bool {
	return slices.ContainsFunc(r.exprs, func(e expression) bool {
		switch e.kind {
		case "redir", "tproxy":
			return true
		case "nat":
			return e.number(unix.NFTA_NAT_TYPE) == unix.NFT_NAT_DNAT
		case "target":
			return slices.Contains([]string{"DNAT", "REDIRECT", "NETMAP", "TPROXY"}, e.text(unix.NFTA_TARGET_NAME))
		}
		return false
	})
}

// Untracks reports whether the rule keeps packets from conntrack.
func (r *Rule) Untracks() bool {
	const untracked = 1 // XT_CT_NOTRACK
	return slices.ContainsFunc(r.exprs, func(e expression) bool {
		name := e.text(unix.NFTA_TARGET_NAME)
		return e.kind == "notrack" || e.kind == "target" && (name == "NOTRACK" ||
			name == "CT" && record(e.attributes[unix.NFTA_TARGET_INFO]).short(0)&untracked != 0)
	})
}

// IsXtables reports whether the rule is in the language of iptables: it has a
// match or a target of xtables.
func (r *Rule) IsXtables() bool {
	return slices.ContainsFunc(r.exprs, func(e expression) bool { return e.kind == "match" || e.kind == "target" })
}

// Helper returns the name of the conntrack helper that the rule assigns to a
// packet that matches it; "" if none.
func (r *Ruleset) Helper(one *Rule, p Packet) string {
	s := &step{walker: r.walker(p), rule: one, registers: unknownRegisters, matches: yes}
	at := place{family: one.Chain.family, table: one.Chain.Table}
	for _, e := range one.exprs {
		switch {
		case e.kind == "objref" && e.has(unix.NFTA_OBJREF_SET_NAME):
			if all := r.load(one.Chain, e.text(unix.NFTA_OBJREF_SET_NAME)); all != nil {
				found, _ := all.find(s.read(e.number(unix.NFTA_OBJREF_SET_SREG), registerBytes))
				for _, f := range found {
					at.name = f.object
					return r.helpers[at]
				}
			}
		case e.kind == "objref" && e.number(unix.NFTA_OBJREF_IMM_TYPE) == unix.NFT_OBJECT_CT_HELPER:
			at.name = e.text(unix.NFTA_OBJREF_IMM_NAME)
			return r.helpers[at]
		case e.kind == "target" && e.text(unix.NFTA_TARGET_NAME) == "CT":
			const helper, size = 12, 16 // in struct xt_ct_target_info
			return record(e.attributes[unix.NFTA_TARGET_INFO]).text(helper, size)
		}
		s.take(e)
	}
	return ""
}

// Use is what a rule has to do with a bit of the conntrack mark.
type Use int

// The uses of a bit. Accepting what carries it is what it is there for.
const (
	NoUse   Use = iota
	Accepts     // accepts connections that have it
	Matches     // tells those that have it from others, to another end
	Changes     // sets it, or takes it away
)

// MarkUse says what a rule has to do with a bit of the conntrack mark. A mark of
// packets is another thing, unless the rule copies it.
func (r *Ruleset) MarkUse(one *Rule, bit uint32) Use {
	if !one.hasMark() {
		return NoUse // as most rules
	}
	return max(r.markUse(one, bit, false), r.markUse(one, bit, true))
}

// hasMark reports whether the rule has to do with the conntrack mark at all.
func (r *Rule) hasMark() bool {
	return slices.ContainsFunc(r.exprs, func(e expression) bool {
		switch e.kind {
		case "ct":
			return e.number(unix.NFTA_CT_KEY) == unix.NFT_CT_MARK
		case "match":
			return e.text(unix.NFTA_MATCH_NAME) == "connmark"
		case "target":
			return e.text(unix.NFTA_TARGET_NAME) == "CONNMARK"
		}
		return false
	})
}

func (r *Ruleset) markUse(one *Rule, bit uint32, v6 bool) Use {
	for _, mark := range []uint32{0, bit} {
		for _, packet := range []uint32{0, ^uint32(0)} {
			s := r.try(one, Packet{V6: v6, Mark: mark, PacketMark: &packet})
			if s.matches != no && s.marked != nil && s.marked.masked(native(bit).lo(), make([]byte, 4)).equals(native(mark).lo()) != yes {
				return Changes
			}
		}
	}
	with, without := r.try(one, Packet{V6: v6, Mark: bit}), r.try(one, Packet{V6: v6})
	if with.matches == no || with.matches == without.matches && slices.Equal(with.branches, without.branches) {
		return NoUse
	}
	accepts := func(b branch) bool { return b.verdict == verdictAccept || b.verdict == verdictReturn }
	if len(with.branches) > 0 && !slices.ContainsFunc(with.branches, func(b branch) bool { return !accepts(b) }) {
		return Accepts
	}
	return Matches
}

// try evaluates one rule alone.
func (r *Ruleset) try(one *Rule, p Packet) *step {
	s := &step{walker: r.walker(p), rule: one, registers: unknownRegisters, matches: yes}
	for _, e := range one.exprs {
		s.take(e)
		if s.matches == no || s.branches != nil {
			break
		}
	}
	return s
}
