package conntrack

import (
	"cmp"
	"encoding/binary"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// subscribe joins the groups of conntrack events.
func subscribe(cfg ListenConfig) (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	filter, err := eventFilter(cfg.Mark, cfg.Brief)
	if err == nil {
		err = c.SetBPF(filter)
	}
	if err == nil {
		err = c.SetReadBuffer(cfg.Buffer) // by force where it may
	}
	groups := []uint32{unix.NFNLGRP_CONNTRACK_NEW, unix.NFNLGRP_CONNTRACK_UPDATE, unix.NFNLGRP_CONNTRACK_DESTROY}
	if cfg.Brief {
		groups = groups[:1] // who joins a group makes the kernel write its events, for all flows of the host
	}
	for _, group := range groups {
		if err == nil {
			err = c.JoinGroup(group)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// maxEvent is more than an event can have: a few hundred bytes.
const maxEvent = 8 << 10

// receive waits for a datagram and returns the messages in it. The library
// would look at each datagram twice, for its size first.
func (l *Listener) receive() (messages []netlink.Message, err error) {
	var n int
	var readErr error
	err = l.raw.Read(func(fd uintptr) bool {
		n, _, readErr = unix.Recvfrom(int(fd), l.buffer, unix.MSG_DONTWAIT)
		return readErr != unix.EAGAIN
	})
	if err = cmp.Or(err, readErr); err != nil {
		return nil, err
	}
	for rest := l.buffer[:n]; len(rest) >= 16; {
		var m netlink.Message
		size := min(int(binary.NativeEndian.Uint32(rest)+3)&^3, len(rest))
		if err := m.UnmarshalBinary(rest[:size]); err != nil {
			return messages, fmt.Errorf("%w: %w", errMalformed, err)
		}
		messages = append(messages, m)
		rest = rest[max(size, 16):]
	}
	return messages, nil
}
