package config

import (
	"fmt"
	"net/netip"
	"slices"

	"ftpgate/proxy"
)

// public is what advertise has: an address, or a name that has one.
type public struct {
	addr netip.Addr
	name string
}

func parsePublic(v any) (public, error) {
	s, err := text(v)
	if err != nil {
		return public{}, err
	}
	if _, err := netip.ParseAddr(s); err == nil {
		a, err := advertised(v)
		return public{addr: a}, err
	}
	if !isHost(s) {
		return public{}, fmt.Errorf(`%s is neither an address nor the name of a host: write e.g. "192.0.2.1" or "ftp.example.com"`, describe(s))
	}
	return public{name: s}, nil
}

// advertised is what the text of 227 says, which has room for IPv4 alone (RFC
// 959 §4.1.2). A 229 names no address (RFC 2428 §3).
func advertised(v any) (netip.Addr, error) {
	a, err := address(v)
	if err == nil && !a.Is4() {
		err = fmt.Errorf("%q is IPv6: 227 can only name an IPv4 address, and 229 names none; write IPv4", a)
	}
	return a, err
}

// setAdvertise stores advertise as what it is.
func setAdvertise(p place, v value) {
	var at public
	one(optional(parsePublic), func(place) *public { return &at })(p, v)
	p.service.Advertise, p.service.AdvertiseName = at.addr, at.name
}

// toldClients are clients that can be told an address.
func toldClients(v any) (netip.Prefix, error) {
	clients, err := prefix(v)
	if err == nil && !clients.Addr().Is4() {
		err = fmt.Errorf("%q is IPv6: such clients are told no address, since 229 names none; leave them out", clients)
	}
	return clients, err
}

// toldAddress is advertised, where "" stands for nothing.
func toldAddress(v any) (netip.Addr, error) {
	if s, ok := v.(string); ok && (s == "0.0.0.0" || s == "::") {
		return netip.Addr{}, fmt.Errorf("%q means any address: write the one that these clients reach", s)
	}
	return advertised(v)
}

const advertiseToForm = `{ clients = "10.0.0.0/8", address = "10.0.0.1" }`

// setAdvertiseTo stores a list of small tables. A bad one leaves zeros, as in list.
func setAdvertiseTo(p place, v value) {
	elements, _ := v.elements()
	for i, e := range elements {
		var to proxy.AdvertiseTo
		here := value{v.r, element(v.at, i), e}
		if t, ok := e.(map[string]any); ok {
			here.field(t, "clients", one(toldClients, func(place) *netip.Prefix { return &to.Clients }))
			here.field(t, "address", one(toldAddress, func(place) *netip.Addr { return &to.Address }))
			for name := range t {
				if name != "clients" && name != "address" {
					value{v.r, join(here.at, name), nil}.fail("unknown key: an element of advertise_to has clients, address")
				}
			}
		} else {
			here.fail(describe(e) + " is not a table: write " + advertiseToForm)
		}
		p.service.AdvertiseTo = append(p.service.AdvertiseTo, to)
	}
}

// field stores a key that v, a table, must have.
func (v value) field(table map[string]any, name string, set func(place, value)) {
	at := dot(v.at, name)
	if e, ok := table[name]; ok {
		set(place{}, value{v.r, at, e})
	} else {
		v.r.report(at, at, "missing: write "+advertiseToForm)
	}
}

// checkAdvertiseTo: the first that fits is taken, so what it has all of comes
// before it or never.
func (r *reader) checkAdvertiseTo(list []proxy.AdvertiseTo, key string) {
	for i, to := range list {
		k := slices.IndexFunc(list[:i], func(before proxy.AdvertiseTo) bool { return within(to.Clients, before.Clients) })
		if k >= 0 {
			here := dot(element(key, i), "clients")
			r.report(here, here, fmt.Sprintf("%q lies inside %q of element %d, and the first that fits is taken: move it up, or leave it out", to.Clients, list[k].Clients, k))
		}
	}
}
