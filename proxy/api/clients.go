package api

import (
	"fmt"
	"net/netip"
)

// Clients reads what selects clients: an address, or a prefix. IPv4 that is
// written as IPv6 is IPv4.
func Clients(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return p, fmt.Errorf("%q is neither an address (198.51.100.7) nor a prefix (198.51.100.0/24)", text)
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), nil
}
