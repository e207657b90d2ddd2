package main

import (
	"context"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// againAfter is how long a lost subscription is left alone.
const againAfter = time.Second

// watchAddresses ends the sessions of an address that leaves this host, as a
// VIP does when the other one of a pair takes over.
func (d *daemon) watchAddresses(ctx context.Context) error {
	for ctx.Err() == nil {
		updates := make(chan netlink.AddrUpdate, 64)
		err := netlink.AddrSubscribeWithOptions(updates, ctx.Done(), netlink.AddrSubscribeOptions{
			ErrorCallback: func(err error) {
				if ctx.Err() == nil {
					d.log.Warn("news of this host's addresses were lost", "error", err)
				}
			},
		})
		if err != nil {
			d.log.Warn("this host's addresses cannot be watched: sessions of one that leaves end by their timeouts", "error", err)
			return nil
		}
		for u := range updates {
			if a, ok := netip.AddrFromSlice(u.LinkAddress.IP); ok && !u.NewAddr {
				d.log.Info("an address has left this host; its sessions end", "address", a.Unmap())
				d.server.AddressGone(a.Unmap())
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(againAfter):
		}
	}
	return nil
}
