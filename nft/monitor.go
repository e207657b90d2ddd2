package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A monitor tells when another process changed something in tables that we watch.
// It is ours and not the library's, which ends at the first overflow and parses
// every element that anybody on the host writes.
type monitor struct {
	conn *netlink.Conn
	own  tableRef

	mu      sync.Mutex
	watched []tableRef // none: there is no subscription
}

// A change is what others did in one transaction.
type change struct {
	who      string // "" if that is unknown, as after the interval
	table    bool   // anything in our table but elements
	elements bool   // elements of our table
	foreign  bool   // rules in another watched table
	lost     bool   // events were lost: it can be anything
}

// newMonitor watches nothing yet, for everybody but the netlink port ours.
func newMonitor(own tableRef, ours uint32) (*monitor, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("watch nftables: %w", err)
	}
	m := &monitor{conn: c, own: own}
	if err := m.ignore(ours); err != nil {
		c.Close()
		return nil, fmt.Errorf("watch nftables: %w", err)
	}
	return m, nil
}

func (m *monitor) Close() { _ = m.conn.Close() }

// ignore leaves out, in the kernel, what the Table itself writes: every pinhole
// would come back as an event.
func (m *monitor) ignore(ours uint32) error {
	port := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, ours)) // filters load big endian
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 12, Size: 4}, // nlmsghdr.nlmsg_pid
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: port, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffffffff},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	if err := m.conn.SetBPF(filter); err != nil {
		return err
	}
	return m.conn.SetReadBuffer(4 << 20)
}

// watch says which tables to watch. Where there are none the kernel need not
// tell us anything: while nobody listens, writing a pinhole costs less.
func (m *monitor) watch(tables []tableRef) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	change := m.conn.JoinGroup
	if len(tables) == 0 {
		change = m.conn.LeaveGroup
	}
	if (len(tables) > 0) != (len(m.watched) > 0) {
		if err := change(unix.NFNLGRP_NFTABLES); err != nil {
			return fmt.Errorf("watch nftables: %w", err)
		}
	}
	m.watched = tables
	return nil
}

// next waits until somebody changed something that is watched, or the interval
// is over.
func (m *monitor) next(ctx context.Context, interval time.Duration) (change, error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(interval)); err != nil {
		return change{}, err
	}
	stop := context.AfterFunc(ctx, func() { _ = m.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var c change
	for {
		messages, err := m.conn.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return change{}, nil
		case errors.Is(err, unix.ENOBUFS):
			return change{lost: true}, nil
		case err != nil:
			return change{}, err
		}
		for _, msg := range messages {
			if msg.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(msg.Data) < 4 {
				continue
			}
			if kind := msg.Header.Type & 0xff; kind != unix.NFT_MSG_NEWGEN {
				m.note(&c, kind, tableRef{nftables.TableFamily(msg.Data[0]), firstString(msg.Data[4:])})
			} else if c != (change{}) { // the end of a transaction that concerns us
				c.who = author(msg.Data[4:])
				return c, nil
			}
		}
	}
}

// note adds one message of a transaction.
func (m *monitor) note(c *change, kind netlink.HeaderType, table tableRef) {
	element := kind == unix.NFT_MSG_NEWSETELEM || kind == unix.NFT_MSG_DELSETELEM
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !slices.Contains(m.watched, table):
	case table != m.own:
		c.foreign = c.foreign || !element
	case element:
		c.elements = true
	default:
		c.table = true
	}
}

// firstString is the first attribute, which in all these messages is the table.
func firstString(b []byte) string {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil || !ad.Next() || ad.Type() != 1 {
		return ""
	}
	return ad.String()
}

// author reads who made a generation of the ruleset.
func author(b []byte) string {
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return ""
	}
	ad.ByteOrder = binary.BigEndian
	var pid uint32
	name := "a process"
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_GEN_PROC_PID:
			pid = ad.Uint32()
		case unix.NFTA_GEN_PROC_NAME:
			name = ad.String()
		}
	}
	return fmt.Sprintf("%s (pid %d)", name, pid)
}
