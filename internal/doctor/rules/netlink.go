package rules

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// attributes are those of one netlink message, or of one that is nested.
type attributes map[uint16][]byte

// parse leaves out what it cannot read: the kernel is believed.
func parse(b []byte) attributes {
	a := attributes{}
	list, _ := netlink.UnmarshalAttributes(b)
	for _, e := range list {
		a[e.Type&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER)] = e.Data
	}
	return a
}

// elements are the attributes of each member of a list.
func elements(b []byte) []attributes {
	list, _ := netlink.UnmarshalAttributes(b)
	all := make([]attributes, 0, len(list))
	for _, e := range list {
		all = append(all, parse(e.Data))
	}
	return all
}

func (a attributes) has(key uint16) bool          { return a[key] != nil }
func (a attributes) nested(key uint16) attributes { return parse(a[key]) }
func (a attributes) text(key uint16) string       { return strings.TrimRight(string(a[key]), "\x00") }

func (a attributes) number(key uint16) uint32 {
	if b := a[key]; len(b) >= 4 {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (a attributes) handle(key uint16) uint64 {
	if b := a[key]; len(b) >= 8 {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// message is one that the kernel answered with.
type message struct {
	family byte
	attributes
}

// ErrPermission says what it takes to read rules.
var ErrPermission = errors.New("no right to read nftables (CAP_NET_ADMIN): run as root")

// dump asks the kernel for all of a kind: NFT_MSG_GETRULE and the like.
func dump(ctx context.Context, kind uint16, family byte, request ...netlink.Attribute) ([]message, error) {
	data, err := netlink.MarshalAttributes(request)
	if err != nil {
		return nil, err
	}
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := c.SetDeadline(deadline); err != nil {
			return nil, err
		}
	}
	_ = c.SetReadBuffer(4 << 20) // the default will do for most
	answers, err := c.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind),
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{family, unix.NFNETLINK_V0, 0, 0}, data...), // nfgenmsg first
	})
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, ErrPermission
	case err != nil:
		return nil, fmt.Errorf("read nftables: %w", err)
	}
	all := make([]message, 0, len(answers))
	for _, m := range answers {
		if len(m.Data) >= 4 {
			all = append(all, message{m.Data[0], parse(m.Data[4:])})
		}
	}
	return all, nil
}

// setTime bounds reading one set: the kernel takes quadratic time for a large one.
const setTime = time.Second

// readSet returns the elements of a set.
func readSet(family byte, table, name string) ([]attributes, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setTime)
	defer cancel()
	messages, err := dump(ctx, unix.NFT_MSG_GETSETELEM, family,
		netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: []byte(table + "\x00")},
		netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(name + "\x00")})
	if err != nil {
		return nil, err
	}
	var all []attributes
	for _, m := range messages {
		all = append(all, elements(m.attributes[unix.NFTA_SET_ELEM_LIST_ELEMENTS])...)
	}
	return all, nil
}
