package nft

import (
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// takeRules take a SYN that is within its limit to its backend.
func (r *ruleset) takeRules(c *nftables.Chain) {
	for i := range families {
		f, h := &families[i], &r.halves[i]
		const to = keyReg + 1
		dnat := &expr.NAT{Type: expr.NATTypeDestNAT, Family: uint32(f.nfproto), RegAddrMin: to + 1, RegProtoMin: to}
		r.rule(c, slices.Concat(f.isTCP(), []expr.Any{f.loadDest(to + 1), loadPort(keyReg)}, lookup(h.passTo, to), r.setMark(), []expr.Any{dnat})...)
		r.rules[len(r.rules)-1].UserData = passComment(f)
	}
}

// passViaRule sets the source of a connection whose pass has its own.
func (r *ruleset) passViaRule(c *nftables.Chain, f *family, h *halfMaps) {
	w := f.words()
	value := keyReg + 3*w
	r.rule(c, slices.Concat(f.isFamily(), []expr.Any{
		&expr.Ct{Register: keyReg, Key: f.ctSource, OptDirection: true},
		&expr.Ct{Register: keyReg + w, Key: f.ctDest, OptDirection: true},
		f.loadDest(keyReg + 2*w),
	}, lookup(h.passVia, value), []expr.Any{&expr.NAT{Type: expr.NATTypeSourceNAT, Family: uint32(f.nfproto), RegAddrMin: value}})...)
}

// A limit is what passes of so many connections need: a set for each family, and
// rules in passChain.
type limit struct {
	flows int
	sets  [2]*nftables.Set
	rules []*nftables.Rule
}

// newPasses is a set whose key is that of a pass.
func newPasses(t *nftables.Table, name string, f *family, timeout time.Duration) *nftables.Set {
	s := newSet(t, name, f.addr, f.addr, f.addr)
	s.HasTimeout, s.Timeout, s.Size = timeout != 0, timeout, mapSize
	return s
}

// newLimit makes a limit that is not in the ruleset yet. A SYN beyond the limit is
// dropped, not refused: it comes again a second later. So is one that could not
// be counted because the set is full.
func (r *ruleset) newLimit(flows int) limit {
	l := limit{flows: flows}
	for i := range families {
		f, h := &families[i], &r.halves[i]
		l.sets[i] = newPasses(r.table, passSetName(f, flows), f, r.timeout)
		open := slices.Concat(f.isTCP(), f.loadPass(h), lookup(l.sets[i], 0))
		l.rules = append(l.rules,
			r.passRule(f, append(slices.Clip(open),
				&expr.Dynset{SetName: h.passing.Name, Operation: opAdd, SrcRegKey: keyReg,
					Exprs: []expr.Any{&expr.Connlimit{Count: uint32(flows)}}},
				&expr.Verdict{Kind: expr.VerdictGoto, Chain: takeChain})),
			r.passRule(f, append(slices.Clip(open), &expr.Verdict{Kind: expr.VerdictDrop})))
	}
	return l
}

func (r *ruleset) passRule(f *family, exprs []expr.Any) *nftables.Rule {
	return &nftables.Rule{Table: r.table, Chain: r.passes, Exprs: exprs, UserData: passComment(f)}
}

func (r *ruleset) addLimit(l limit) {
	r.limits[l.flows] = l
	r.rules = append(r.rules, l.rules...)
}

// passSet is where a pass is.
func (r *ruleset) passSet(p Pinhole) *nftables.Set { return r.limits[p.Flows].sets[half(p.From)] }

// loadPass puts the key of a pass into registers: who dials, what address, and
// the backend to which the port leads. A port that leads nowhere breaks off the
// rule. The lookup writes port and address of the backend, so that the address
// falls in its place in the key; the port is overwritten.
//
// nft aborts when it lists a key of which a part was looked up. It does not see
// that a lookup fills more than its first register, and lists what was loaded in
// the others before, which is why something is: passComment tells.
func (f *family) loadPass(h *halfMaps) []expr.Any {
	w := f.words()
	source, dest, backend, port := uint32(keyReg), keyReg+w, keyReg+2*w, keyReg+3*w
	return []expr.Any{
		f.loadDest(backend),
		loadPort(port),
		&expr.Lookup{SourceRegister: port, SetName: h.passTo.Name, DestRegister: backend - 1, IsDestRegSet: true},
		f.loadSource(source),
		f.loadDest(dest),
	}
}

func passComment(f *family) []byte {
	return userdata.AppendString(nil, userdata.TypeComment, passCommentText(f.suffix))
}

func passCommentText(suffix string) string {
	return "the last daddr is the address in passto" + suffix
}
