package config

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ftpgate/proxy"
)

// redirected is a range of clients whose connections are redirected, and who may
// use the service: that list is what keeps it from being an open proxy.
func redirected(v any) (netip.Prefix, error) {
	p, err := prefix(v)
	if err == nil && p.Bits() == 0 {
		err = fmt.Errorf("%q is everybody, which makes an open proxy: write the clients inside", p)
	}
	return p, err
}

// interfaceName is a name that the kernel takes (dev_valid_name). It takes *
// too, but who writes that means a pattern.
func interfaceName(v any) (string, error) {
	s, err := text(v)
	if err == nil && (s == "" || len(s) > 15 || s == "." || s == ".." || strings.ContainsAny(s, " /:*")) {
		err = fmt.Errorf(`%s is not the name of an interface: write it in full, as "ip link" shows it`, describe(s))
	}
	return s, err
}

func port(v any) (uint16, error) {
	n, err := count(v)
	if err == nil && (n < 1 || n > 65535) {
		err = fmt.Errorf("%d is not a port: write 1 to 65535", n)
	}
	return uint16(n), err
}

// destination is an element of destinations: a word, or a range of addresses.
type destination struct {
	prefixes []netip.Prefix
	self     bool // the addresses of this host, which are not known here
}

// destinationWords name what a service leads to from inside alone. "private" has
// the addresses between a provider and its customers too (RFC 1918, RFC 4193,
// RFC 6598).
var destinationWords = map[string]destination{
	"private":    ranges("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"),
	"loopback":   ranges("127.0.0.0/8", "::1/128"),
	"link-local": ranges("169.254.0.0/16", "fe80::/10"),
	"self":       {self: true},
}

func ranges(texts ...string) (d destination) {
	for _, s := range texts {
		d.prefixes = append(d.prefixes, netip.MustParsePrefix(s))
	}
	return d
}

func parseDestination(v any) (destination, error) {
	s, err := text(v)
	if err != nil {
		return destination{}, err
	}
	if d, ok := destinationWords[s]; ok {
		return d, nil
	}
	if !strings.ContainsAny(s, ".:/") {
		return destination{}, fmt.Errorf(`%s is neither a word for destinations nor a range of addresses: write "private", "loopback", "link-local", "self", or e.g. "203.0.113.0/24"`, describe(s))
	}
	p, err := prefix(s)
	return destination{prefixes: []netip.Prefix{p}}, err
}

func setDeny(p place, v value) {
	var deny []destination
	list(parseDestination, func(place) *[]destination { return &deny })(p, v)
	d := &p.service.Destinations
	for _, e := range deny {
		d.Deny = append(d.Deny, e.prefixes...)
		d.DenySelf = d.DenySelf || e.self
	}
}

// setAllow refuses elements of which deny, which goes first, leaves nothing.
func setAllow(p place, v value) {
	var allow []destination
	list(parseDestination, func(place) *[]destination { return &allow })(p, v)
	d := &p.service.Destinations
	for i, e := range allow {
		here := value{v.r, element(v.at, i), nil}
		if e.self {
			here.fail(`"self" allows nothing: leave it out of deny, and write the address that is meant`)
		}
		if by, ok := denied(e, d); ok {
			here.fail(fmt.Sprintf("%s, and deny goes first: leave it out, or write a destinations.deny without that", by))
		}
		d.Allow = append(d.Allow, e.prefixes...)
	}
}

// denied reports whether deny leaves nothing of an element of allow, and what of it.
func denied(e destination, d *proxy.Destinations) (by string, all bool) {
	for _, p := range e.prefixes {
		i := slices.IndexFunc(d.Deny, func(o netip.Prefix) bool { return within(p, o) })
		if i < 0 {
			return "", false
		}
		if by == "" {
			by = fmt.Sprintf("%q lies inside %s of deny", p, nameOf(d.Deny[i]))
		}
	}
	return by, by != ""
}

// within reports whether outer has all of inner.
func within(inner, outer netip.Prefix) bool {
	return inner.IsValid() && outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}

// nameOf is a range, with the word that it goes by.
func nameOf(p netip.Prefix) string {
	for word, d := range destinationWords {
		if slices.Contains(d.prefixes, p) {
			return fmt.Sprintf("%q (%q)", p, word)
		}
	}
	return fmt.Sprintf("%q", p)
}
