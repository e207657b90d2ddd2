package nft

import (
	"maps"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// mapSize bounds the pinholes of one family. Used and expired ones count until
// the kernel's sweep.
const mapSize = 1 << 17

// Registers of 4 bytes each, 8 to 23. scratch is out of reach of keys and data.
const (
	keyReg  = 8
	scratch = 23
)

// family is what differs between the IPv4 and the IPv6 half of the ruleset.
type family struct {
	suffix               string
	nfproto              byte
	addr                 nftables.SetDatatype
	srcOffset, dstOffset uint32 // in the network header
	ctSource, ctDest     expr.CtKey
	value                uint32 // register of a looked up address, behind the key
}

var families = [2]family{
	{"4", unix.NFPROTO_IPV4, nftables.TypeIPAddr, 12, 16, expr.CtKeySRCIP, expr.CtKeyDSTIP, 12},
	{"6", unix.NFPROTO_IPV6, nftables.TypeIP6Addr, 8, 24, expr.CtKeySRCIP6, expr.CtKeyDSTIP6, 17},
}

// words is how many registers an address fills.
func (f *family) words() uint32 { return f.addr.Bytes / 4 }

// halfMaps are the maps of one family.
type halfMaps struct{ dnat, active, via, out, listen, passVia, passTo, passing, leased, stray, cut *nftables.Set }

// Chains for passes: passChain has rules for each limit, takeChain is where they
// lead.
const (
	passChain = "pass"
	takeChain = "take"
)

// ruleset is the static part of the table, made anew for every installation.
type ruleset struct {
	table      *nftables.Table
	halves     [2]halfMaps
	listenPort *nftables.Set
	relayPort  *nftables.Set
	chains     []*nftables.Chain
	passes     *nftables.Chain
	limits     map[int]limit
	rules      []*nftables.Rule // static ones, and those of limits

	intercepted *nftables.Chain
	post        *nftables.Chain
	intercept   part
	transparent part

	wide, wideUsed *nftables.Chain
	wides          map[wideKey]wides
	wideOrder      []wideKey // in which their rules came
	mark           uint32
	timeout        time.Duration
}

func newRuleset(name string, mark uint32, timeout time.Duration, flags nftables.TableFlags) *ruleset {
	r := &ruleset{
		table: &nftables.Table{Name: name, Family: nftables.TableFamilyINet, Flags: flags},
		mark:  mark, timeout: timeout, limits: map[int]limit{}, wides: map[wideKey]wides{},
	}
	for i := range families {
		r.halves[i] = r.newHalf(&families[i])
	}
	r.listenPort = newSet(r.table, "listenport", nftables.TypeInetService)
	r.relayPort = newSet(r.table, "relayport", nftables.TypeInetService)

	enter, leave := r.chain("enter"), r.chain("leave")
	take := r.chain(takeChain)
	r.passes = r.chain(passChain)
	r.wide, r.wideUsed = r.chain(wideChain), r.chain(wideUsedChain)
	r.enterRules(enter)
	r.takeRules(take)
	r.leaveRules(leave)
	r.intercepted = r.chain(interceptChain)
	r.baseChains(enter.Name, leave.Name)
	return r
}

// baseChains hang the others on their hooks.
func (r *ruleset) baseChains(enter, leave string) {
	ours := append(r.marked(), jump(leave))
	pre := r.base("pre", nftables.ChainHookPrerouting, *nftables.ChainPriorityNATDest-1)
	r.cutRules(pre)
	r.rule(pre, jump(enter))
	r.strayRules(pre)
	r.rule(pre, jump(interceptChain))
	output := r.base("output", nftables.ChainHookOutput, *nftables.ChainPriorityNATDest-1)
	r.rule(output, jump(enter))
	r.post = r.base("post", nftables.ChainHookPostrouting, *nftables.ChainPriorityNATSource-1)
	r.rule(r.post, ours...)
	input := r.base("input", nftables.ChainHookInput, *nftables.ChainPriorityNATSource-1)
	r.toListeners(input, &expr.Verdict{Kind: expr.VerdictAccept})
	r.rule(input, ours...)
}

// allChains are the chains in the table.
func (r *ruleset) allChains() []*nftables.Chain { return slices.Concat(r.chains, r.transparent.chains) }

// allRules are the rules in the table, in the order of each chain.
func (r *ruleset) allRules() []*nftables.Rule {
	all := slices.Concat(r.rules, r.intercept.rules, r.transparent.rules)
	for _, k := range r.wideOrder {
		all = append(all, r.wides[k].rules...)
	}
	return all
}

func newSet(t *nftables.Table, name string, keyTypes ...nftables.SetDatatype) *nftables.Set {
	return &nftables.Set{
		Table: t, Name: name, KeyByteOrder: binaryutil.BigEndian,
		KeyType: concat(keyTypes), Concatenation: len(keyTypes) > 1,
	}
}

// concat leaves a single type as it is: only in a concatenation is a field padded.
func concat(types []nftables.SetDatatype) nftables.SetDatatype {
	if len(types) == 1 {
		return types[0]
	}
	return nftables.MustConcatSetType(types...)
}

// pinholeMap is a map whose key is that of a pinhole.
func (r *ruleset) pinholeMap(name string, f *family, data nftables.SetDatatype) *nftables.Set {
	s := newSet(r.table, name, f.addr, f.addr, nftables.TypeInetService)
	s.IsMap, s.DataType = true, data
	s.HasTimeout, s.Timeout, s.Size = true, r.timeout, mapSize
	return s
}

func (r *ruleset) newHalf(f *family) halfMaps {
	t, timeout, port := r.table, r.timeout, nftables.TypeInetService
	pinholes := func(name string, data ...nftables.SetDatatype) *nftables.Set {
		return r.pinholeMap(name+f.suffix, f, concat(data))
	}
	h := halfMaps{
		dnat:   pinholes("dnat", f.addr, port),
		active: pinholes("active", f.addr, port),
		via:    pinholes("via", f.addr),
		out:    newSet(t, "out"+f.suffix, f.addr),
		listen: newSet(t, "listen"+f.suffix, f.addr, port),
	}
	h.dnat.Dynamic = true // the rules delete from it
	h.passVia, h.passing = newPasses(t, "passvia"+f.suffix, f, timeout), newPasses(t, "passing"+f.suffix, f, 0)
	h.passVia.IsMap, h.passVia.DataType = true, f.addr
	h.passing.Dynamic = true // without a timeout: the kernel removes what counts none
	h.passTo = newSet(t, "passto"+f.suffix, port)
	h.passTo.IsMap, h.passTo.DataType = true, concat([]nftables.SetDatatype{port, f.addr})
	h.out.IsMap, h.out.DataType = true, f.addr
	h.leased, h.stray = r.newStrays(f)
	h.cut = r.newCut(f)
	return h
}

// sets lists all maps and sets, in the order in which they are created.
func (r *ruleset) sets() []*nftables.Set {
	s := make([]*nftables.Set, 0, 24)
	for i := range r.halves {
		h := &r.halves[i]
		s = append(s, h.dnat, h.active, h.via, h.out, h.listen, h.passVia, h.passTo, h.passing, h.leased, h.stray, h.cut)
	}
	s = append(s, r.listenPort, r.relayPort)
	for _, flows := range slices.Sorted(maps.Keys(r.limits)) {
		l := r.limits[flows]
		s = append(s, l.sets[:]...)
	}
	return s
}

// enqueue adds the table and all that is static in it to the next batch.
func (r *ruleset) enqueue(c *nftables.Conn) error {
	c.AddTable(r.table)
	for _, s := range r.sets() {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
	}
	for _, ch := range r.chains {
		c.AddChain(ch)
	}
	for _, rule := range r.rules {
		c.AddRule(rule)
	}
	for _, k := range r.wideOrder {
		if err := r.wides[k].enqueue(c); err != nil {
			return err
		}
	}
	if err := r.transparent.enqueue(c); err != nil {
		return err
	}
	return r.intercept.enqueue(c)
}

func (r *ruleset) chain(name string) *nftables.Chain {
	c := &nftables.Chain{Table: r.table, Name: name}
	r.chains = append(r.chains, c)
	return c
}

func (r *ruleset) base(name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	c := r.chain(name)
	accept := nftables.ChainPolicyAccept
	c.Type, c.Hooknum, c.Priority, c.Policy = nftables.ChainTypeNAT, hook, &priority, &accept
	return c
}

func (r *ruleset) rule(c *nftables.Chain, exprs ...expr.Any) {
	r.rules = append(r.rules, &nftables.Rule{Table: r.table, Chain: c, Exprs: exprs})
}
