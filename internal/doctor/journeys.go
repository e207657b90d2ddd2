package doctor

import (
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"ftpgate/internal/doctor/rules"
	"ftpgate/proxy"
)

// journey is a packet that must get through a hook of the kernel.
type journey struct {
	what   string // "passive data to 10.0.0.5"
	hook   uint32
	packet rules.Packet
	at     netip.AddrPort // of a control connection: the address of listen
}

// carried reports whether the kernel carries data between a listener and a
// backend.
func carried(svc *proxy.Service, listen, backend netip.AddrPort) bool {
	return listen.Addr().Is4() == backend.Addr().Is4() && !backend.Addr().IsLoopback() && !svc.OnlyRelays()
}

// single is the prefix of one address; of an unspecified one, none.
func single(a netip.Addr) netip.Prefix {
	if a.IsUnspecified() {
		return netip.Prefix{}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

// mostClients bounds the walks of one service with a long list of clients.
const mostClients = 16

// clients are where the clients of a family come from; a prefix that is not
// valid is anywhere.
func clients(svc *proxy.Service, v6 bool) []netip.Prefix {
	var of []netip.Prefix
	listed := svc.Clients
	if svc.Mode == proxy.Forward {
		listed = svc.Intercept.From
	}
	for _, p := range listed {
		if p.Addr().Is6() == v6 && len(of) < mostClients {
			of = append(of, p)
		}
	}
	if len(listed) == 0 {
		of = append(of, netip.Prefix{})
	}
	return of
}

// control are the packets of control connections, at a hook before or after
// routing.
func (h *host) control(hook uint32) []journey {
	var all []journey
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			for _, client := range clients(svc, l.Addr().Is6()) {
				all = append(all, journey{fmt.Sprintf("control connections to %v", l), hook, rules.Packet{
					V6: l.Addr().Is6(), From: client, To: single(l.Addr()), ToPorts: rules.One(l.Port()),
					In: h.inside(svc, l, client), ToHost: true, Mark: h.file.NFT.Mark, Translated: svc.Mode == proxy.Forward,
				}, l})
			}
		}
	})
	return all
}

// inside is the interface on which a client of a listener arrives, if that is
// known.
func (h *host) inside(svc *proxy.Service, l netip.AddrPort, client netip.Prefix) string {
	switch {
	case svc.Mode != proxy.Forward:
		return h.link(l.Addr())
	case len(svc.Intercept.Interfaces) == 1:
		return svc.Intercept.Interfaces[0]
	case client.IsValid():
		link, _ := routeTo(client.Addr().Next(), netip.Addr{})
		return link
	}
	return ""
}

// Addresses that nobody has (RFC 5737, RFC 3849): the way to them is that to the
// Internet.
var (
	anywhere4 = netip.MustParseAddr("203.0.113.1")
	anywhere6 = netip.MustParseAddr("2001:db8:ffff::1")
)

// outside is the interface that leads to the Internet, if there is one.
func outside(v6 bool) string {
	to := anywhere4
	if v6 {
		to = anywhere6
	}
	link, _ := routeTo(to, netip.Addr{})
	return link
}

// data are the packets of data connections that pinholes have let in.
func (h *host) data() []journey {
	var all []journey
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			for _, client := range clients(svc, l.Addr().Is6()) {
				for _, b := range svc.Backends {
					if carried(svc, l, b) {
						all = append(all, h.forwarded(svc, l, b, client)...)
					}
				}
				if svc.Mode == proxy.Forward && !svc.OnlyRelays() {
					all = append(all, h.outward(svc, l, client)...)
				}
				if svc.Relays() {
					all = append(all, h.relayed(svc, l, client)...)
				}
			}
		}
	})
	return all
}

// forwarded are the first packet of a data connection and the answer to it.
func (h *host) forwarded(svc *proxy.Service, l, b netip.AddrPort, client netip.Prefix) []journey {
	outside := h.link(l.Addr())
	inside, _ := routeTo(b.Addr(), svc.SourceAddress)
	in := rules.Packet{
		V6: l.Addr().Is6(), From: client, To: single(b.Addr()), In: outside, Out: inside, Mark: h.file.NFT.Mark, Translated: true,
	}
	var all []journey
	if svc.Passive {
		all = append(all, through(fmt.Sprintf("passive data to %v", b.Addr()), in)...)
	}
	if svc.Active {
		all = append(all, through(fmt.Sprintf("active data from %v", b.Addr()), back(in))...)
	}
	return all
}

// outward are those of clients inside to any server. Passive data goes where the
// client dials: the kernel does not count that as translated.
func (h *host) outward(svc *proxy.Service, l netip.AddrPort, client netip.Prefix) []journey {
	out := rules.Packet{V6: l.Addr().Is6(), From: client, In: h.inside(svc, l, client), Out: outside(l.Addr().Is6()), Mark: h.file.NFT.Mark}
	in := back(out)
	in.Translated = true
	whose := "inside"
	if client.IsValid() {
		whose = client.String()
	}
	var all []journey
	if svc.Passive {
		all = append(all, through("passive data of clients in "+whose, out)...)
	}
	if svc.Active {
		all = append(all, through("active data to clients in "+whose, in)...)
	}
	return all
}

// back is a packet the other way.
func back(p rules.Packet) rules.Packet {
	p.From, p.To, p.In, p.Out, p.FromPorts, p.ToPorts = p.To, p.From, p.Out, p.In, p.ToPorts, p.FromPorts
	return p
}

// through is the first packet of a connection through this host, and the answer.
func through(what string, first rules.Packet) []journey {
	answer := back(first)
	answer.Reply = true
	return []journey{
		{what: what, hook: unix.NF_INET_FORWARD, packet: first}, {what: what, hook: unix.NF_INET_FORWARD, packet: answer},
	}
}

// relayed are data connections that end at this host, on a port that the kernel
// chose for us.
func (h *host) relayed(svc *proxy.Service, l netip.AddrPort, client netip.Prefix) []journey {
	in := rules.Packet{V6: l.Addr().Is6(), From: client, In: h.link(l.Addr()), ToHost: true, Mark: h.file.NFT.Mark, Translated: true}
	if local, err := h.localPorts(); err == nil {
		in.ToPorts = rules.Ports(local)
	}
	var all []journey
	if svc.Passive {
		all = append(all, journey{what: fmt.Sprintf("relayed data to %v", l.Addr()), hook: unix.NF_INET_LOCAL_IN, packet: in})
	}
	for _, b := range svc.Backends {
		if svc.Active && !b.Addr().IsLoopback() {
			inside, _ := routeTo(b.Addr(), svc.SourceAddress)
			p := in
			p.V6, p.From, p.In = b.Addr().Is6(), single(b.Addr()), inside
			all = append(all, journey{what: fmt.Sprintf("relayed data from %v", b.Addr()), hook: unix.NF_INET_LOCAL_IN, packet: p})
		}
	}
	return all
}

// arriving are the packets of clients before anything has translated them: to
// the ports of listen, and those that we translate, to ports for data and to servers
// outside.
func (h *host) arriving() (control, data []journey) {
	control = h.control(unix.NF_INET_PRE_ROUTING)
	data = h.intercepted()
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			for _, ports := range dataPorts(svc) {
				for _, client := range clients(svc, l.Addr().Is6()) {
					data = append(data, journey{
						what: fmt.Sprintf("data to %v, ports %d-%d", l.Addr(), ports.First, ports.Last), hook: unix.NF_INET_PRE_ROUTING,
						packet: rules.Packet{
							V6: l.Addr().Is6(), From: client, To: single(l.Addr()), ToPorts: rules.Ports(ports), In: h.link(l.Addr()), ToHost: true,
						},
					})
				}
			}
		}
	})
	return control, data
}

// intercepted are connections to servers outside, which we redirect.
func (h *host) intercepted() []journey {
	var all []journey
	h.each(func(svc *proxy.Service) {
		if svc.Mode != proxy.Forward {
			return
		}
		for _, l := range svc.Listen {
			for _, client := range clients(svc, l.Addr().Is6()) {
				for _, port := range svc.Intercept.Ports {
					all = append(all, journey{
						what: fmt.Sprintf("connections of clients in %v to port %d", client, port), hook: unix.NF_INET_PRE_ROUTING,
						packet: rules.Packet{V6: l.Addr().Is6(), From: client, ToPorts: rules.One(port), In: h.inside(svc, l, client)},
					})
				}
			}
		}
	})
	return all
}

// dataPorts are those of this host that clients of a service dial for data.
func dataPorts(svc *proxy.Service) []proxy.PortRange {
	var all []proxy.PortRange
	if svc.Mode == proxy.Forward {
		return nil
	}
	if svc.Passive {
		all = append(all, svc.Ports)
	}
	if svc.TLS.PassPorts != (proxy.PortRange{}) {
		all = append(all, svc.TLS.PassPorts)
	}
	return all
}

// others are the base chains of a hook that a packet meets and that are not ours.
func (h *host) others(all *rules.Ruleset, j journey) []*rules.Chain {
	var chains []*rules.Chain
	for _, c := range all.At(j.hook, j.packet.V6) {
		if !c.Of("inet", h.file.NFT.Table) {
			chains = append(chains, c)
		}
	}
	return chains
}
