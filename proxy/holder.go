package proxy

import "net/netip"

// holder returns who holds a port, for an error message; "" when it cannot be known.
func holder(at netip.AddrPort) string { return "" }
