package rules

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// Ruleset is all of nftables in a network namespace.
type Ruleset struct {
	Tables []Table
	Chains []*Chain

	chains  map[place]*Chain // those of Chains, by name
	helpers map[place]string // ct helper objects, by name
	flags   map[place]uint32 // of sets

	mu   sync.Mutex
	sets map[place]*set // as they were read; nil: they could not be
}

// place is the name of something in a table.
type place struct {
	family      byte
	table, name string
}

// Table is one table.
type Table struct {
	Family string // inet, ip, ip6, …
	Name   string
	Flags  uint32
	Owner  uint32 // netlink port of the process that owns it; 0: nobody does
}

// Chain is one chain. The fields from Hook on are of base chains.
type Chain struct {
	Family, Table, Name string
	Rules               []*Rule

	Base     bool
	Hook     uint32 // unix.NF_INET_FORWARD, …
	Type     string // filter, nat, route
	Priority int32
	Drops    bool // by policy

	family byte
}

// Rule is one rule.
type Rule struct {
	Chain  *Chain
	Handle uint64
	Number int // in its chain, from 1, as iptables counts

	exprs []expression
}

// expression is one step of a rule.
type expression struct {
	kind string
	attributes
}

var families = map[byte]string{
	unix.NFPROTO_INET: "inet", unix.NFPROTO_IPV4: "ip", unix.NFPROTO_IPV6: "ip6",
	unix.NFPROTO_ARP: "arp", unix.NFPROTO_BRIDGE: "bridge", unix.NFPROTO_NETDEV: "netdev",
}

// Read reads all of it but the elements of sets, which are read when a packet
// meets them.
func Read(ctx context.Context) (*Ruleset, error) {
	r := &Ruleset{chains: map[place]*Chain{}, helpers: map[place]string{}, flags: map[place]uint32{}, sets: map[place]*set{}}
	for _, read := range []struct {
		kind uint16
		take func(m message)
	}{
		{unix.NFT_MSG_GETTABLE, r.table},
		{unix.NFT_MSG_GETCHAIN, r.chain},
		{unix.NFT_MSG_GETSET, r.set},
		{unix.NFT_MSG_GETOBJ, r.object},
		{unix.NFT_MSG_GETRULE, r.rule},
	} {
		messages, err := dump(ctx, read.kind, unix.NFPROTO_UNSPEC)
		if err != nil {
			return nil, err
		}
		for _, m := range messages {
			read.take(m)
		}
	}
	return r, nil
}

// Attributes that x/sys does not name.
const (
	nftaTableOwner = 7
	nftaHookDevs   = 4
)

func (r *Ruleset) table(m message) {
	r.Tables = append(r.Tables, Table{
		Family: families[m.family], Name: m.text(unix.NFTA_TABLE_NAME),
		Flags: m.number(unix.NFTA_TABLE_FLAGS), Owner: m.number(nftaTableOwner),
	})
}

func (r *Ruleset) chain(m message) {
	c := &Chain{
		Family: families[m.family], Table: m.text(unix.NFTA_CHAIN_TABLE), Name: m.text(unix.NFTA_CHAIN_NAME),
		Type: m.text(unix.NFTA_CHAIN_TYPE), family: m.family,
	}
	hook := m.nested(unix.NFTA_CHAIN_HOOK)
	if c.Base = m.has(unix.NFTA_CHAIN_HOOK) && !hook.has(unix.NFTA_HOOK_DEV) && !hook.has(nftaHookDevs); c.Base {
		c.Hook = hook.number(unix.NFTA_HOOK_HOOKNUM)
		c.Priority = int32(hook.number(unix.NFTA_HOOK_PRIORITY))
		c.Drops = m.has(unix.NFTA_CHAIN_POLICY) && m.number(unix.NFTA_CHAIN_POLICY) == verdictDrop
	}
	r.Chains = append(r.Chains, c)
	r.chains[place{m.family, c.Table, c.Name}] = c
}

func (r *Ruleset) set(m message) {
	at := place{m.family, m.text(unix.NFTA_SET_TABLE), m.text(unix.NFTA_SET_NAME)}
	r.flags[at] = m.number(unix.NFTA_SET_FLAGS)
}

func (r *Ruleset) object(m message) {
	if m.number(unix.NFTA_OBJ_TYPE) != unix.NFT_OBJECT_CT_HELPER {
		return
	}
	at := place{m.family, m.text(unix.NFTA_OBJ_TABLE), m.text(unix.NFTA_OBJ_NAME)}
	r.helpers[at] = m.nested(unix.NFTA_OBJ_DATA).text(unix.NFTA_CT_HELPER_NAME)
}

func (r *Ruleset) rule(m message) {
	c := r.chains[place{m.family, m.text(unix.NFTA_RULE_TABLE), m.text(unix.NFTA_RULE_CHAIN)}]
	if c == nil {
		return // of a chain that came after the chains were read
	}
	one := &Rule{Chain: c, Handle: m.handle(unix.NFTA_RULE_HANDLE), Number: len(c.Rules) + 1}
	for _, e := range elements(m.attributes[unix.NFTA_RULE_EXPRESSIONS]) {
		one.exprs = append(one.exprs, expression{e.text(unix.NFTA_EXPR_NAME), e.nested(unix.NFTA_EXPR_DATA)})
	}
	c.Rules = append(c.Rules, one)
}

// At returns the base chains of a hook that see packets of IPv4 (or IPv6), in
// the order in which these meet them.
func (r *Ruleset) At(hook uint32, v6 bool) []*Chain {
	var found []*Chain
	for _, c := range r.Chains {
		if c.Base && c.Hook == hook && c.sees(v6) {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b *Chain) int { return cmp.Compare(a.Priority, b.Priority) })
	return found
}

func (c *Chain) sees(v6 bool) bool {
	return c.Family == "inet" || c.Family == "ip" && !v6 || c.Family == "ip6" && v6
}

// Of reports whether the chain is of this table.
func (c *Chain) Of(family, table string) bool { return c.Family == family && c.Table == table }

func (c *Chain) String() string { return c.Family + " " + c.Table + " " + c.Name }

// named returns the chain that a jump of c names.
func (r *Ruleset) named(c *Chain, name string) *Chain {
	return r.chains[place{c.family, c.Table, name}]
}
