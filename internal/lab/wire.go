package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// connect wires the hosts, gives them addresses and routes, and returns when packets can flow.
func (l *Lab) connect(o Options) error {
	for _, h := range l.hosts() {
		if err := h.prepare(h == l.Gateway || h == l.Gateway2, o); err != nil {
			return err
		}
	}
	if err := l.plug(); err != nil {
		return err
	}
	for _, p := range l.plans(o) {
		if p.host == nil {
			continue
		}
		if err := p.apply(o.NoIPv6); err != nil {
			return fmt.Errorf("%s: %w", p.host.Name, err)
		}
	}
	return nil
}

// plans are what all interfaces get. Those of hosts that there are not are left out by who carries them out.
func (l *Lab) plans(o Options) []plan {
	wan4, wan6 := netip.PrefixFrom(WanV4, 24), netip.PrefixFrom(WanV6, 64)
	lan4, lan6 := netip.PrefixFrom(LanV4, 24), netip.PrefixFrom(LanV6, 64)
	behind4, behind6 := netip.PrefixFrom(Lan2V4, 24), netip.PrefixFrom(Lan2V6, 64)
	inside := defaultRoutes(LanV4, LanV6)
	outside := []route{}
	if o.Routed {
		outside = []route{{lan4.Masked(), WanV4}, {lan6.Masked(), WanV6}}
	}
	client := plan{l.Client, HostLink, same(wan4, wan6, ClientV4, ClientV6), outside}
	if l.Gateway2 != nil {
		client = plan{l.Client, HostLink, same(behind4, behind6, BehindV4, BehindV6), defaultRoutes(Lan2V4, Lan2V6)}
	}
	return []plan{
		{l.Gateway, WanLink, []netip.Prefix{wan4, wan6}, nil},
		{l.Gateway, LanLink, []netip.Prefix{lan4, lan6}, nil},
		{l.Server, HostLink, same(lan4, lan6, ServerV4, ServerV6), inside},
		{l.Server2, HostLink, same(lan4, lan6, Server2V4, Server2V6), inside},
		client,
		{l.Client2, HostLink, same(wan4, wan6, Client2V4, Client2V6), outside},
		{l.Gateway2, WanLink, same(wan4, wan6, Wan2V4, Wan2V6), outside},
		{l.Gateway2, LanLink, []netip.Prefix{behind4, behind6}, nil},
	}
}

// prepare makes the host's parameters those of a lab, not those of the machine (IPv4 parameters are inherited).
func (h *Host) prepare(forward bool, o Options) error {
	type parameter struct{ key, value string }
	forwarding := "0"
	if forward {
		forwarding = "1"
	}
	list := []parameter{
		{"net.ipv4.ip_forward", forwarding},
		{"net.ipv4.conf.all.rp_filter", "0"},
		{"net.ipv4.conf.default.rp_filter", "0"},
	}
	if !o.NoIPv6 {
		list = append(list,
			parameter{"net.ipv6.conf.all.disable_ipv6", "0"},
			parameter{"net.ipv6.conf.default.disable_ipv6", "0"},
			parameter{"net.ipv6.conf.default.accept_dad", "0"}, // an address is good at once
			parameter{"net.ipv6.conf.default.accept_ra", "0"},
			parameter{"net.ipv6.conf.all.forwarding", forwarding},
		)
	}
	for _, p := range list {
		err := h.Sysctl(p.key, p.value)
		switch {
		case errors.Is(err, unix.EROFS):
			return fmt.Errorf("%w (in a container? run it with /proc/sys writable: docker run --privileged)", err)
		case errors.Is(err, fs.ErrNotExist) && !o.NoIPv6:
			return fmt.Errorf("%w (does this kernel have IPv6?)", err)
		case err != nil:
			return err
		}
	}
	return h.up("lo")
}

// end is one end of a cable.
type end struct {
	host *Host
	link string
}

// plug joins the hosts: those outside and the gateway, those inside and the gateway, and the client and the gateway that it
// is behind.
func (l *Lab) plug() error {
	outside, inside := []end{{l.Gateway, WanLink}}, []end{{l.Gateway, LanLink}, {l.Server, HostLink}}
	if l.Gateway2 == nil {
		outside = append(outside, end{l.Client, HostLink})
	} else {
		outside = append(outside, end{l.Gateway2, WanLink})
		if err := l.Gateway2.veth(LanLink, l.Client, HostLink); err != nil {
			return err
		}
	}
	if l.Client2 != nil {
		outside = append(outside, end{l.Client2, HostLink})
	}
	if l.Server2 != nil {
		inside = append(inside, end{l.Server2, HostLink})
	}
	return errors.Join(l.join(WanLink, outside), l.join(LanLink, inside))
}

// join makes a network of two ends, which are joined directly, or of more, which share a switch. That lives in a namespace of
// its own, so that gateways have plain interfaces either way.
func (l *Lab) join(network string, ends []end) error {
	if len(ends) == 2 {
		return ends[0].host.veth(ends[0].link, ends[1].host, ends[1].link)
	}
	err := l.wire.links(func(nl *netlink.Handle) error {
		return nl.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: network}})
	})
	if err != nil {
		return fmt.Errorf("make the %s switch: %w", network, err)
	}
	for _, e := range ends {
		port := network + "-" + e.host.Name
		if err := e.host.veth(e.link, l.wire, port); err != nil {
			return err
		}
		if err := l.wire.enslave(port, network); err != nil {
			return fmt.Errorf("%s switch: add port %s: %w", network, port, err)
		}
	}
	return l.wire.up(network)
}

// plan is what one interface gets.
type plan struct {
	host   *Host
	link   string
	addrs  []netip.Prefix
	routes []route
}

type route struct {
	to  netip.Prefix
	via netip.Addr
}

func defaultRoutes(via4, via6 netip.Addr) []route {
	return []route{{netip.PrefixFrom(netip.IPv4Unspecified(), 0), via4}, {netip.PrefixFrom(netip.IPv6Unspecified(), 0), via6}}
}

// same returns the prefixes of a network with other addresses in them.
func same(net4, net6 netip.Prefix, addr4, addr6 netip.Addr) []netip.Prefix {
	return []netip.Prefix{netip.PrefixFrom(addr4, net4.Bits()), netip.PrefixFrom(addr6, net6.Bits())}
}

func (p plan) apply(noIPv6 bool) error {
	if err := p.host.waitUp(p.link); err != nil {
		return err
	}
	return p.host.links(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(p.link)
		if err != nil {
			return fmt.Errorf("find %s: %w", p.link, err)
		}
		for _, a := range p.addrs {
			if noIPv6 && a.Addr().Is6() {
				continue
			}
			if err := nl.AddrAdd(link, &netlink.Addr{IPNet: ipNet(a), Flags: unix.IFA_F_NODAD}); err != nil {
				return fmt.Errorf("give %s the address %v: %w", p.link, a, err)
			}
		}
		for _, r := range p.routes {
			if noIPv6 && r.via.Is6() {
				continue
			}
			to := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(r.to), Gw: r.via.AsSlice()}
			if err := nl.RouteAdd(to); err != nil {
				return fmt.Errorf("add the route to %v: %w", r.to, err)
			}
		}
		return nil
	})
}

// veth joins the host to a peer and brings both ends up.
func (h *Host) veth(link string, peer *Host, peerLink string) error {
	err := h.links(func(nl *netlink.Handle) error {
		return nl.LinkAdd(&netlink.Veth{
			LinkAttrs:     netlink.LinkAttrs{Name: link},
			PeerName:      peerLink,
			PeerNamespace: netlink.NsFd(peer.ns),
		})
	})
	if err != nil {
		return fmt.Errorf("join %s %s to %s %s: %w", h.Name, link, peer.Name, peerLink, err)
	}
	return errors.Join(h.up(link), peer.up(peerLink))
}

func (h *Host) up(link string) error {
	err := h.links(func(nl *netlink.Handle) error {
		l, err := nl.LinkByName(link)
		if err != nil {
			return err
		}
		return nl.LinkSetUp(l)
	})
	if err != nil {
		return fmt.Errorf("%s: bring %s up: %w", h.Name, link, err)
	}
	return nil
}

// waitUp waits until the kernel has noticed the other end of the cable, which it does in its own time: IPv6 addresses
// do not work before.
func (h *Host) waitUp(link string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	return h.links(func(nl *netlink.Handle) error {
		for {
			l, err := nl.LinkByName(link)
			if err != nil {
				return fmt.Errorf("find %s: %w", link, err)
			}
			if l.Attrs().OperState == netlink.OperUp {
				return nil
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("%s has no carrier: %w", link, ctx.Err())
			case <-tick.C:
			}
		}
	})
}

func (h *Host) enslave(port, network string) error {
	return h.links(func(nl *netlink.Handle) error {
		bridge, err := nl.LinkByName(network)
		if err != nil {
			return err
		}
		link, err := nl.LinkByName(port)
		if err != nil {
			return err
		}
		return nl.LinkSetMaster(link, bridge)
	})
}

// links runs f with a netlink socket of the host.
func (h *Host) links(f func(*netlink.Handle) error) error {
	return h.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer nl.Close()
		return f(nl)
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
