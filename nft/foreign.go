package nft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// errNoChain says that a chain of somebody else's is not there.
var errNoChain = errors.New("there is no such chain")

// tableRef names a table.
type tableRef struct {
	family nftables.TableFamily
	name   string
}

func (c ChainRef) table() tableRef { return tableRef{c.Family, c.Table} }

// foreignRule is a rule of somebody else's chain, of which we need little. The
// library would have to understand all of it.
type foreignRule struct {
	chain   ChainRef
	handle  uint64
	comment string
	exprs   []string // the names of its expressions
	print   []byte   // what the rule does and says, without its counters
}

func (r foreignRule) ref(c ChainRef) *nftables.Rule {
	return &nftables.Rule{
		Table: &nftables.Table{Family: c.Family, Name: c.Table}, Chain: &nftables.Chain{Name: c.Chain}, Handle: r.handle,
	}
}

// chainRules returns the rules of a chain, or errNoChain.
func (t *Table) chainRules(c ChainRef) ([]foreignRule, error) {
	t.readMu.Lock()
	_, err := t.reader.ListChain(&nftables.Table{Family: c.Family, Name: c.Table}, c.Chain)
	t.readMu.Unlock()
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, errNoChain
	case err != nil:
		return nil, fmt.Errorf("look for the chain: %w", err)
	}
	return t.foreignRules(c.Family, c.Table, c.Chain)
}

// baseChains returns the names of the chains of a table that hang on a hook.
func (t *Table) baseChains(of tableRef) ([]string, error) {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	chains, err := t.reader.ListChainsOfTableFamily(of.family)
	if err != nil {
		return nil, fmt.Errorf("list the chains of table %s: %w", of.name, err)
	}
	var names []string
	for _, c := range chains {
		if c.Table.Name == of.name && c.Hooknum != nil {
			names = append(names, c.Name)
		}
	}
	return names, nil
}

// foreignRules lists the rules of a chain, of a table if chain is "", or of a
// whole family if table is too. What is not there has no rules.
func (t *Table) foreignRules(family nftables.TableFamily, table, chain string) ([]foreignRule, error) {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	ae := netlink.NewAttributeEncoder()
	if table != "" {
		ae.String(unix.NFTA_RULE_TABLE, table)
	}
	if chain != "" {
		ae.String(unix.NFTA_RULE_CHAIN, chain)
	}
	attributes, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	ask := netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE,
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{byte(family), unix.NFNETLINK_V0, 0, 0}, attributes...), // nfgenmsg first
	}
	for try := 0; ; try++ {
		messages, err := t.handles.Execute(ask)
		if err == nil && slices.ContainsFunc(messages, interrupted) {
			err = unix.EINTR
		}
		switch {
		case errors.Is(err, unix.EINTR) && try < 10: // somebody writes while we read
			continue
		case errors.Is(err, unix.ENOENT):
			return nil, nil
		case err != nil:
			return nil, fmt.Errorf("list the rules of table %s: %w", table, err)
		}
		return parseForeign(family, messages)
	}
}

func interrupted(m netlink.Message) bool { return m.Header.Flags&unix.NLM_F_DUMP_INTR != 0 }

func parseForeign(family nftables.TableFamily, messages []netlink.Message) ([]foreignRule, error) {
	var rules []foreignRule
	for _, m := range messages {
		if len(m.Data) < 4 {
			continue
		}
		r := foreignRule{chain: ChainRef{Family: family}}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return nil, fmt.Errorf("read a rule: %w", err)
		}
		ad.ByteOrder = binary.BigEndian
		for ad.Next() {
			switch ad.Type() {
			case unix.NFTA_RULE_TABLE:
				r.chain.Table = ad.String()
			case unix.NFTA_RULE_CHAIN:
				r.chain.Chain = ad.String()
			case unix.NFTA_RULE_HANDLE:
				r.handle = ad.Uint64()
			case unix.NFTA_RULE_EXPRESSIONS:
				ad.Nested(func(list *netlink.AttributeDecoder) error { return r.readExprs(list) })
			case unix.NFTA_RULE_USERDATA:
				r.readUserData(ad.Bytes())
			}
		}
		if err := ad.Err(); err != nil {
			return nil, fmt.Errorf("read a rule: %w", err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func (r *foreignRule) readExprs(list *netlink.AttributeDecoder) error {
	for list.Next() {
		var name string
		var data []byte
		list.Nested(func(ad *netlink.AttributeDecoder) error {
			for ad.Next() {
				switch ad.Type() {
				case unix.NFTA_EXPR_NAME:
					name = ad.String()
				case unix.NFTA_EXPR_DATA:
					data = bytes.Clone(ad.Bytes())
				}
			}
			return nil
		})
		r.exprs = append(r.exprs, name)
		if name == "match" && r.comment == "" {
			r.comment = xtComment(data)
		}
		if name != "counter" {
			r.print = append(append(append(r.print, name...), 0), data...)
		}
	}
	return nil
}

// readUserData finds the comment. Bytes that are no list of types and lengths
// would make the library panic.
func (r *foreignRule) readUserData(b []byte) {
	for rest := b; len(rest) >= 2 && len(rest) >= 2+int(rest[1]); rest = rest[2+int(rest[1]):] {
		if userdata.Type(rest[0]) == userdata.TypeComment {
			r.comment = strings.TrimRight(string(rest[2:2+int(rest[1])]), "\x00")
			break
		}
	}
	r.print = append(append(r.print, 0), b...)
}

// xtComment is the text of an xt comment match, "" of any other: as which our
// comment comes back from iptables-save and iptables-restore.
func xtComment(match []byte) string {
	ad, err := netlink.NewAttributeDecoder(match)
	if err != nil {
		return ""
	}
	var name, text string
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_MATCH_NAME:
			name = ad.String()
		case unix.NFTA_MATCH_INFO:
			text, _, _ = strings.Cut(string(ad.Bytes()), "\x00")
		}
	}
	if name != "comment" {
		return ""
	}
	return text
}
