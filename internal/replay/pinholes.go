package replay

import (
	"fmt"
	"net/netip"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// pinholes are those of a session. The ports that they hold are its leases.
type pinholes struct {
	service proxy.Service
	at      place
	open    map[alg.ID]*Pinhole
	leased  map[netip.AddrPort]bool
}

// add lays the pinhole that a verdict asks for, and returns at what address and
// port it is announced.
func (ps *pinholes) add(o alg.Open) (p *Pinhole, announced netip.AddrPort, why alg.Reason) {
	p = &Pinhole{ID: uint32(o.ID), Mode: o.Mode.String(), To: o.To.String()}
	if o.Mode == alg.ModeAUTH {
		ps.pass(p, o)
		return p, netip.AddrPort{}, alg.NoReason
	}
	p.Relayed = ps.needsRelay(o)
	if p.Relayed && ps.service.Data == proxy.DataKernel {
		return nil, announced, alg.NoPinhole
	}
	at, ok := ps.lay(p, o)
	if !ok {
		return nil, announced, alg.NoPorts
	}
	ps.leased[at] = true
	ps.open[o.ID] = p
	p.At = at.String()
	return p, ps.announced(o.Mode, at), alg.NoReason
}

// lay fills in who dials a pinhole, and returns where: whoever sees the other
// side's own address dials that, all others a leased port of the gateway.
func (ps *pinholes) lay(p *Pinhole, o alg.Open) (at netip.AddrPort, ok bool) {
	forward := ps.service.Mode == proxy.Forward
	if o.Mode.Passive() {
		p.From = ps.clients()
		if forward {
			p.From = ps.at.client.String()
			return o.To, true
		}
		return ps.lease(ps.at.gateway, ps.service.Ports)
	}
	p.From = ps.at.server.String()
	if ps.service.FromClient {
		return o.To, true
	}
	return ps.lease(ps.at.inside, ps.service.ActivePorts)
}

// pass lays the pinhole of TLS that passes: the client gets at the ports that
// the service declares.
func (ps *pinholes) pass(p *Pinhole, o alg.Open) {
	ports := ps.service.TLS.PassPorts
	p.From, p.Flows = ps.at.client.String(), ps.service.TLS.PassFlows
	p.At = fmt.Sprintf("%s:%d-%d", bracketed(ps.at.gateway), ports.First, ports.Last)
	p.To = fmt.Sprintf("%s:%d-%d", bracketed(o.To.Addr()), ps.service.TLS.PassTo, int(ps.service.TLS.PassTo)+ports.Size()-1)
	ps.open[o.ID] = p
}

// bracketed is an address as it stands before a port.
func bracketed(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// lease takes the first port that is free.
func (ps *pinholes) lease(addr netip.Addr, ports proxy.PortRange) (netip.AddrPort, bool) {
	for i := range ports.Size() {
		at := netip.AddrPortFrom(addr, ports.First+uint16(i))
		if !ps.leased[at] {
			return at, true
		}
	}
	return netip.AddrPort{}, false
}

// clients are who may dial a passive pinhole.
func (ps *pinholes) clients() string {
	bits := ps.service.PeerBits.V4
	if ps.at.client.Is6() {
		bits = ps.service.PeerBits.V6
	}
	if bits == 0 {
		return ps.at.client.String()
	}
	return netip.PrefixFrom(ps.at.client, bits).Masked().String()
}

// needsRelay reports whether the gateway carries a data connection by itself.
func (ps *pinholes) needsRelay(o alg.Open) bool {
	return o.Private || ps.service.Data == proxy.DataRelay ||
		ps.service.BackendTLS.Mode == proxy.BackendExplicit || ps.service.BackendTLS.Mode == proxy.BackendImplicit ||
		ps.at.client.Is4() != ps.at.server.Is4() || ps.at.server.IsLoopback() && !ps.at.client.IsLoopback()
}

// announced is what the other side is told to dial: advertise changes a 227.
func (ps *pinholes) announced(m alg.Mode, at netip.AddrPort) netip.AddrPort {
	if m != alg.ModePASV || ps.service.Mode == proxy.Forward {
		return at
	}
	for _, to := range ps.service.AdvertiseTo {
		if to.Clients.Contains(ps.at.client) {
			return netip.AddrPortFrom(to.Address, at.Port())
		}
	}
	if ps.service.Advertise.IsValid() {
		return netip.AddrPortFrom(ps.service.Advertise, at.Port())
	}
	return at
}

// remove closes a pinhole, if it is open, and gives its port back.
func (ps *pinholes) remove(id alg.ID) bool {
	p := ps.open[id]
	if p == nil {
		return false
	}
	delete(ps.open, id)
	if at, err := netip.ParseAddrPort(p.At); err == nil {
		delete(ps.leased, at)
	}
	return true
}
