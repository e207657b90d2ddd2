package nft

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Intact returns what is wrong with the table in the kernel, nil if it is as
// we installed it.
func (t *Table) Intact() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	if err := t.intact(); err != nil {
		return fmt.Errorf("table inet %s: %w", t.cfg.Name, err)
	}
	return nil
}

// intact returns what is wrong with the table in the kernel, nil if it is as we
// installed it. The caller holds mu.
func (t *Table) intact() error {
	t.readMu.Lock()
	defer t.readMu.Unlock()
	there, err := findTable(t.reader, t.cfg.Name)
	switch {
	case err != nil:
		return err
	case there == nil:
		return errors.New("the table was removed")
	case there.Flags != t.flags():
		return errors.New("the flags of the table were changed")
	}
	handle, err := tableHandle(t.handles, t.cfg.Name)
	if err != nil {
		return err
	}
	if handle != t.handle {
		return errors.New("the table was replaced by another one")
	}
	installed := map[string][]uint64{}
	for _, r := range t.rules.allRules() {
		installed[r.Chain.Name] = append(installed[r.Chain.Name], r.Handle)
	}
	for _, ch := range t.rules.allChains() {
		rules, err := t.reader.GetRules(t.rules.table, ch)
		if err != nil {
			return fmt.Errorf("read chain %s: %w", ch.Name, err)
		}
		if !sameHandles(rules, installed[ch.Name]) {
			return fmt.Errorf("the rules of chain %s were changed", ch.Name)
		}
	}
	return nil
}

func sameHandles(rules []*nftables.Rule, want []uint64) bool {
	if len(rules) != len(want) {
		return false
	}
	for i, r := range rules {
		if r.Handle != want[i] {
			return false
		}
	}
	return true
}

// tableHandle returns the number of a table, 0 if there is none. The kernel
// counts them up, so that a table which somebody loads from a dump of ours has
// another one, while the rules in it are numbered as ours were. The library
// does not read it.
func tableHandle(c *netlink.Conn, name string) (uint64, error) {
	const nftaTableHandle = 4 // in linux/netfilter/nf_tables.h, not in x/sys
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.NFTA_TABLE_NAME, name)
	attributes, err := ae.Encode()
	if err != nil {
		return 0, err
	}
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETTABLE,
			Flags: netlink.Request,
		},
		Data: append([]byte{unix.NFPROTO_INET, unix.NFNETLINK_V0, 0, 0}, attributes...), // nfgenmsg first
	})
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("ask for the handle of the table: %w", err)
	}
	for _, m := range messages {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return 0, fmt.Errorf("read the handle of the table: %w", err)
		}
		ad.ByteOrder = binary.BigEndian
		for ad.Next() {
			if ad.Type() == nftaTableHandle {
				return ad.Uint64(), nil
			}
		}
	}
	return 0, errors.New("the kernel does not say the handle of the table")
}
