package conntrack

import (
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

// maxMessage is more than an event or a flow can have: a few hundred bytes.
const maxMessage = 8 << 10

// receive waits for a datagram and returns the messages in it.
func (l *Listener) receive() (messages []netlink.Message, err error) {
	n, err := read(l.raw, l.buffer)
	if err != nil {
		return nil, err
	}
	for rest, more := l.buffer[:n], true; more; {
		var m netlink.Message
		if m, rest, more, err = split(rest); more {
			messages = append(messages, m)
		}
	}
	return messages, err
}
