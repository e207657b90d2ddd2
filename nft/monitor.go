package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A monitor tells when another process changed the rules of our table. It is
// ours and not the library's, which ends at the first overflow and parses every
// element that anybody on the host writes.
type monitor struct {
	conn  *netlink.Conn
	table string
}

// newMonitor watches a table for everybody but the netlink port own.
func newMonitor(table string, own uint32) (*monitor, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("watch nftables: %w", err)
	}
	m := &monitor{conn: c, table: table}
	if err := m.subscribe(own); err != nil {
		c.Close()
		return nil, fmt.Errorf("watch nftables: %w", err)
	}
	return m, nil
}

func (m *monitor) Close() { _ = m.conn.Close() }

// subscribe leaves out, in the kernel, what the Table itself writes: every
// pinhole would come back as an event.
func (m *monitor) subscribe(own uint32) error {
	port := binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, own)) // filters load big endian
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
	if err := m.conn.SetReadBuffer(4 << 20); err != nil {
		return err
	}
	return m.conn.JoinGroup(unix.NFNLGRP_NFTABLES)
}

// next waits until somebody changed our table and returns who, or "" after the
// interval and after an overflow, when changes may have been missed.
func (m *monitor) next(ctx context.Context, interval time.Duration) (who string, err error) {
	if err := m.conn.SetReadDeadline(time.Now().Add(interval)); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = m.conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ours := false
	for {
		messages, err := m.conn.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, unix.ENOBUFS):
			return "", nil
		case err != nil:
			return "", err
		}
		for _, msg := range messages {
			if msg.Header.Type>>8 != unix.NFNL_SUBSYS_NFTABLES || len(msg.Data) < 4 {
				continue
			}
			switch kind := msg.Header.Type & 0xff; kind {
			case unix.NFT_MSG_NEWGEN: // ends the messages of a transaction
				if ours {
					return author(msg.Data[4:]), nil
				}
			case unix.NFT_MSG_NEWSETELEM, unix.NFT_MSG_DELSETELEM:
			default:
				ours = ours || msg.Data[0] == unix.NFPROTO_INET && firstString(msg.Data[4:]) == m.table
			}
		}
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
