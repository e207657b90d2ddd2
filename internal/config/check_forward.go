package config

import (
	"fmt"
	"net/netip"
	"slices"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// checkForward applies the rules of services that clients inside are redirected to.
func (r *reader) checkForward(services []proxy.Service, i int, at string) {
	s := services[i]
	if key := dot(at, "tls.mode"); s.TLS.Mode == alg.TerminateTLS {
		r.report(key, key, `"terminate" cannot be with mode = "forward": nobody has a certificate for every server that clients dial; write "pass" or "refuse"`)
	}
	if key := dot(at, "data"); s.Data == proxy.DataRelay {
		r.report(key, key, `"relay" cannot be with mode = "forward": the kernel carries all data; write "auto"`)
	}
	r.checkRedirected(s, at)
	for j := range s.Intercept.From {
		r.checkTaken(services, i, j, dot(at, element("intercept.from", j)))
	}
	if a := s.SourceAddress; a.IsValid() && !r.failed(dot(at, "listen")) && !hasFamily(s.Listen, a) {
		key := dot(at, "source_address")
		r.report(key, key, fmt.Sprintf("%q can dial no server for clients of listen: write an address of their family", a))
	}
}

// checkRedirected: each client has one listener to be redirected to, and each
// listener has clients.
func (r *reader) checkRedirected(s proxy.Service, at string) {
	listenKey, fromKey := dot(at, "listen"), dot(at, "intercept.from")
	for j, l := range s.Listen {
		if !l.IsValid() {
			continue
		}
		here := dot(at, element("listen", j))
		if l.Addr().IsLoopback() {
			r.report(here, here, fmt.Sprintf("%q is on loopback, where nothing can be redirected to: write an address of the inside, or all of them, %q", l, anyOf(l.Addr(), l.Port())))
		}
		if hasFamily(s.Listen[:j], l.Addr()) {
			r.report(here, here, fmt.Sprintf("%q is one more %s listener: connections are redirected to one; write one, or all addresses, %q", l, family(l), anyOf(l.Addr(), l.Port())))
		}
		same := func(p netip.Prefix) bool { return p.Addr().Is4() == l.Addr().Is4() }
		if !r.failed(fromKey) && !slices.ContainsFunc(s.Intercept.From, same) {
			r.report(here, here, fmt.Sprintf("%q has no clients: add some of %s to intercept.from, or leave it out", l, family(l)))
		}
	}
	for j, from := range s.Intercept.From {
		if here := element(fromKey, j); from.IsValid() && !r.failed(listenKey) && !hasFamily(s.Listen, from.Addr()) {
			r.report(here, here, fmt.Sprintf("%q has no %s listener to be redirected to: add one to listen, e.g. %q, or leave it out",
				from, familyOf(from.Addr()), anyOf(from.Addr(), 2121)))
		}
	}
}

func hasFamily(listen []netip.AddrPort, a netip.Addr) bool {
	return slices.ContainsFunc(listen, func(l netip.AddrPort) bool { return l.IsValid() && l.Addr().Is4() == a.Is4() })
}

// anyOf is a listener on all addresses of the family of a.
func anyOf(a netip.Addr, port uint16) netip.AddrPort {
	if a.Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), port)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), port)
}

// checkTaken looks for an earlier service that redirects connections of
// services[i].Intercept.From[j]: which of them gets one would be chance.
func (r *reader) checkTaken(services []proxy.Service, i, j int, here string) {
	in := services[i].Intercept
	for bi, b := range services[:i] {
		if b.Mode != proxy.Forward || !sharesInterface(in.Interfaces, b.Intercept.Interfaces) {
			continue
		}
		p := slices.IndexFunc(in.Ports, func(p uint16) bool { return p > 0 && slices.Contains(b.Intercept.Ports, p) })
		k := slices.IndexFunc(b.Intercept.From, func(f netip.Prefix) bool {
			return f.Overlaps(in.From[j]) && !exempt(f, in.From[j], in.Except) && !exempt(f, in.From[j], b.Intercept.Except)
		})
		if p >= 0 && k >= 0 {
			r.report(here, here, fmt.Sprintf("%q overlaps %s, %q, on port %d: have either leave the clients of the other alone (intercept.except)",
				in.From[j], dot(element(serviceTable, bi), element("intercept.from", k)), b.Intercept.From[k], in.Ports[p]))
			return
		}
	}
}

func sharesInterface(a, b []string) bool {
	return len(a) == 0 || len(b) == 0 || slices.ContainsFunc(a, func(name string) bool { return slices.Contains(b, name) })
}

// exempt reports whether except has all that a and b, which overlap, share.
func exempt(a, b netip.Prefix, except []netip.Prefix) bool {
	shared := a
	if within(b, a) {
		shared = b
	}
	return slices.ContainsFunc(except, func(e netip.Prefix) bool { return within(shared, e) })
}
