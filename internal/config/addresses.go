package config

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// address is the address of one host.
func address(v any) (netip.Addr, error) {
	s, err := text(v)
	if err != nil {
		return netip.Addr{}, err
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}, fmt.Errorf(`%s is not an address: write e.g. "10.0.0.1" or "2001:db8::1"`, describe(s))
	}
	if a.IsUnspecified() {
		return netip.Addr{}, fmt.Errorf(`%q means any address: write one, or "" to leave it to the gateway`, s)
	}
	return a, usable(a)
}

// addrPort is where to listen.
func addrPort(v any) (netip.AddrPort, error) {
	s, err := text(v)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ap, err := netip.ParseAddrPort(s)
	if err != nil {
		return netip.AddrPort{}, noAddrPort(s)
	}
	if ap.Port() == 0 {
		return netip.AddrPort{}, fmt.Errorf("%q has port 0: write the port that is meant", s)
	}
	return ap, usable(ap.Addr())
}

// noAddrPort says what an ADDRESS:PORT lacks.
func noAddrPort(s string) error {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return fmt.Errorf("%q has no port: write %q", s, netip.AddrPortFrom(a, 21))
	}
	host, port, err := net.SplitHostPort(s)
	switch {
	case err == nil && host == "":
		return fmt.Errorf(`%s has no address: write "0.0.0.0:%s" for all of IPv4, "[::]:%s" for all of IPv6`, describe(s), port, port)
	case err == nil && hostName(host):
		return fmt.Errorf("%s is a host name: write its address", describe(s))
	}
	return fmt.Errorf(`%s is not ADDRESS:PORT: write e.g. "198.51.100.1:21" or "[2001:db8::1]:21"`, describe(s))
}

// hostName tells a name from a mistyped address: it ends in letters.
func hostName(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	return labelForm.MatchString(s) && strings.ContainsAny(last, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

// backend is the address of a server.
func backend(v any) (netip.AddrPort, error) {
	s, err := text(v)
	if err != nil {
		return netip.AddrPort{}, err
	}
	if host, _, err := net.SplitHostPort(s); err == nil && hostName(host) {
		return netip.AddrPort{}, fmt.Errorf("%s is a host name: %s: backends are dialled by address; write it", describe(s), unavailable)
	}
	ap, err := addrPort(v)
	if err == nil && ap.Addr().IsUnspecified() {
		err = fmt.Errorf("%q means any address: write the server's own", s)
	}
	return ap, err
}

// prefix is a range of clients, or one.
func prefix(v any) (netip.Prefix, error) {
	s, err := text(v)
	if err != nil {
		return netip.Prefix{}, err
	}
	p, err := netip.ParsePrefix(s)
	if a, err := netip.ParseAddr(s); err == nil {
		if err := usable(a); err != nil {
			return netip.Prefix{}, err
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	switch {
	case err != nil:
		return p, fmt.Errorf(`%s is not a range of addresses: write e.g. "10.0.0.0/8", "2001:db8::/32" or one address`, describe(s))
	case p.Masked() != p:
		return p, fmt.Errorf("%q has bits below its length: write %q, or %q for one address", s, p.Masked(), p.Addr())
	}
	return p, usable(p.Addr())
}

// usable refuses what is an address but none that can stand in a rule for one host.
func usable(a netip.Addr) error {
	switch {
	case a.Zone() != "":
		return fmt.Errorf("%q has a zone: write an address that is not link-local", a)
	case a.Is4In6():
		return fmt.Errorf("%q is IPv4 in IPv6's clothes: write %q", a, a.Unmap())
	case a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%q is the address of a group: write the address of one host", a)
	}
	return nil
}
