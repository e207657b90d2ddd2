package config

import (
	"fmt"
	"net/netip"
	"slices"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// check applies the rules that need more than one key. Values that were
// refused before are zero here and break no rule a second time.
func (r *reader) check(f *File) {
	r.checkTables(f)
	r.checkWeb(f)
	r.checkAudit(f)
	services := f.Settings.Services
	for i, s := range services {
		at := element(serviceTable, i)
		r.checkName(services[:i], s, at)
		for j, listen := range s.Listen {
			if listen.IsValid() {
				here := dot(at, element("listen", j))
				r.checkListen(services[:i+1], i, j, here)
				r.checkPorts(s, listen, here)
			}
		}
		switch s.Mode {
		case proxy.Reverse:
			r.checkReverse(services, i, at)
		case proxy.Forward:
			r.checkForward(services, i, at)
		}
		r.checkSource(s, at)
		r.checkTimeouts(s.Timeouts, at)
	}
}

// checkReverse applies the rules of services in front of servers.
func (r *reader) checkReverse(services []proxy.Service, i int, at string) {
	s := services[i]
	for j, listen := range s.Listen {
		if listen.IsValid() {
			r.checkFamily(s, listen, at, dot(at, element("listen", j)))
		}
	}
	r.checkBackends(services, s, at)
	r.checkTLS(services, i, at)
	r.checkBackendTLS(s, at)
	r.checkData(s, at)
	r.checkAdvertiseTo(s.AdvertiseTo, dot(at, "advertise_to"))
	r.checkPeers(s, at)
	if key := dot(at, "explicit"); s.Explicit {
		r.report(key, key, `true does nothing with mode = "reverse": `+itsBackends)
	}
}

func (r *reader) checkName(before []proxy.Service, s proxy.Service, at string) {
	i := slices.IndexFunc(before, func(b proxy.Service) bool { return b.Name == s.Name })
	if s.Name != "" && i >= 0 {
		key := dot(at, "name")
		r.report(key, key, fmt.Sprintf("%q is the name of %s too: write another", s.Name, element(serviceTable, i)))
	}
}

// checkListen looks for an earlier listen address that takes the same
// connections as services[i].Listen[j]: the kernel lets only one be bound.
func (r *reader) checkListen(services []proxy.Service, i, j int, here string) {
	listen := services[i].Listen[j]
	for bi, b := range services {
		for bj, other := range b.Listen {
			if bi == i && bj >= j {
				return
			}
			if overlap(listen, other) {
				r.report(here, here, fmt.Sprintf("%q is taken by %s, %q: write an address and port of its own",
					listen, dot(element(serviceTable, bi), element("listen", bj)), other))
				return
			}
		}
	}
}

func overlap(a, b netip.AddrPort) bool {
	if !b.IsValid() || a.Port() != b.Port() || a.Addr().Is4() != b.Addr().Is4() {
		return false
	}
	return a.Addr() == b.Addr() || a.Addr().IsUnspecified() || b.Addr().IsUnspecified()
}

// checkFamily: who has no backend of a client's own family relays its data,
// and changes the addresses in its commands, between the two.
func (r *reader) checkFamily(s proxy.Service, listen netip.AddrPort, at, here string) {
	same := func(b netip.AddrPort) bool { return b.Addr().Is4() == listen.Addr().Is4() }
	if slices.ContainsFunc(s.Backends, same) || r.failed(dot(at, "backends")) {
		return
	}
	needs := func(because string) {
		r.report(here, here, fmt.Sprintf("a %s listener needs a %[1]s backend with %s: add one to backends, or leave %q out", family(listen), because, listen))
	}
	if s.TLS.Mode == alg.PassTLS {
		needs(`tls.mode = "pass", since no address within the TLS can be changed`)
	}
	if s.FromClient {
		needs(`source = "client", since a server can see no address of the other family`)
	}
	if s.Data == proxy.DataKernel {
		needs(`data = "kernel", since the kernel does not translate between IPv4 and IPv6`)
	}
}

func family(a netip.AddrPort) string { return familyOf(a.Addr()) }

func familyOf(a netip.Addr) string {
	if a.Is4() {
		return "v4"
	}
	return "v6"
}

// checkPorts: a pinhole on a port that is listened on would be in its way.
func (r *reader) checkPorts(s proxy.Service, listen netip.AddrPort, here string) {
	for _, ports := range []struct {
		key string
		proxy.PortRange
	}{{"ports", s.Ports}, {"active_ports", s.ActivePorts}} {
		if ports.First <= listen.Port() && listen.Port() <= ports.Last {
			r.report(here, here, fmt.Sprintf("port %d lies inside %s, %q: move one of them", listen.Port(), ports.key, span(ports.PortRange)))
		}
	}
}

// checkBackends refuses a gateway that dials itself, and an inside address
// that can dial no backend.
func (r *reader) checkBackends(services []proxy.Service, s proxy.Service, at string) {
	sameAsSource := false
	for i, b := range s.Backends {
		if !b.IsValid() {
			continue
		}
		sameAsSource = sameAsSource || b.Addr().Is4() == s.SourceAddress.Is4()
		listens := func(o proxy.Service) bool {
			return slices.ContainsFunc(o.Listen, func(l netip.AddrPort) bool { return takes(l, b) })
		}
		if l := slices.IndexFunc(services, listens); l >= 0 {
			here := dot(at, element("backends", i))
			r.report(here, here, fmt.Sprintf("%q is where %s listens: the gateway would dial itself; write the server's address", b, element(serviceTable, l)))
		}
	}
	if s.SourceAddress.IsValid() && !sameAsSource && !r.failed(dot(at, "backends")) {
		key := dot(at, "source_address")
		r.report(key, key, fmt.Sprintf("%q can dial none of backends: write an address of their family", s.SourceAddress))
	}
}

// takes reports whether who dials to reaches listen for certain: a listener on
// any address has all of loopback, and which others is not known here.
func takes(listen, to netip.AddrPort) bool {
	return listen == to || to.Addr().IsLoopback() && listen.Addr().IsUnspecified() && overlap(listen, to)
}

func (r *reader) checkTimeouts(t proxy.Timeouts, at string) {
	key, other := dot(at, "timeouts.transfer_start"), dot(at, "timeouts.pinhole")
	if t.Pinhole > 0 && t.Pinhole < shortestPinhole && !r.failed(other) {
		r.report(other, other, fmt.Sprintf("%q is too short: write at least %q", t.Pinhole, shortestPinhole))
	}
	if t.TransferStart >= t.Pinhole || r.failed(key) || r.failed(other) {
		return
	}
	near := key
	if r.lines[key] == 0 {
		near = other // the one that is written
	}
	r.report(key, near, fmt.Sprintf("%q is shorter than pinhole, %q: write at least that", t.TransferStart, t.Pinhole))
}
