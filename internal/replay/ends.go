package replay

import (
	"net/netip"
	"slices"

	"ftpgate/proxy"
)

// Addresses for who says nothing of them, and the daemon's example too.
var (
	clientV4  = netip.MustParseAddr("198.51.100.7")
	clientV6  = netip.MustParseAddr("2001:db8:1::7")
	gatewayV4 = netip.MustParseAddr("198.51.100.1")
	gatewayV6 = netip.MustParseAddr("2001:db8:1::1")
	insideV4  = netip.MustParseAddr("10.0.0.1")
	insideV6  = netip.MustParseAddr("fd00:10::1")
	serverV4  = netip.MustParseAddr("10.0.0.5")
)

// place is who stands where in a session.
type place struct {
	client, gateway, inside, server netip.Addr

	assumed     [2]bool // the address of the client, of the server, is only an example
	atGateway   bool    // the recording is of the gateway's own side towards clients
	fromGateway bool    // or of its side towards servers
}

// newPlace decides that, by what the options, the recording and the service say.
func newPlace(o Options, d *dialogue) place {
	p := place{client: o.Client, gateway: o.Gateway, inside: o.Inside, server: o.Server}
	dialled := d.server.Addr()
	if dialled.IsValid() {
		p.atGateway = slices.ContainsFunc(o.Own, func(l netip.AddrPort) bool { return l.Addr() == dialled })
		p.fromGateway = d.client.Addr() == o.Inside || d.client.Addr() == o.Service.SourceAddress
	}
	if !p.client.IsValid() {
		p.client = d.client.Addr()
	}
	if !p.client.IsValid() {
		p.assumed[client] = true
		p.client = example(!o.Gateway.IsValid() || o.Gateway.Is4(), clientV4, clientV6)
	}
	if !p.gateway.IsValid() && p.atGateway {
		p.gateway = dialled
	}
	if !p.gateway.IsValid() {
		p.gateway = listener(o.Service, p.client)
	}
	if !p.server.IsValid() && !p.atGateway {
		p.server = dialled
	}
	if !p.server.IsValid() {
		p.assumed[server] = true
		p.server = backend(o.Service, p.client)
	}
	if o.Service.Mode == proxy.Forward && !o.Gateway.IsValid() { // the client dials the server, and is redirected
		p.gateway = p.server
	}
	if !p.inside.IsValid() && o.Service.SourceAddress.Is4() == p.server.Is4() {
		p.inside = o.Service.SourceAddress
	}
	if !p.inside.IsValid() {
		p.inside = example(p.server.Is4(), insideV4, insideV6)
	}
	return p
}

func example(is4 bool, v4, v6 netip.Addr) netip.Addr {
	if is4 {
		return v4
	}
	return v6
}

// listener is where a service listens for a client.
func listener(svc proxy.Service, client netip.Addr) netip.Addr {
	for _, l := range svc.Listen {
		if l.Addr().Is4() == client.Is4() && !l.Addr().IsUnspecified() {
			return l.Addr()
		}
	}
	return example(client.Is4(), gatewayV4, gatewayV6)
}

// backend is to whom a service leads a client: one of its own family first.
func backend(svc proxy.Service, client netip.Addr) netip.Addr {
	for _, b := range svc.Backends {
		if b.Addr().Is4() == client.Is4() {
			return b.Addr()
		}
	}
	if len(svc.Backends) > 0 {
		return svc.Backends[0].Addr()
	}
	return serverV4
}
