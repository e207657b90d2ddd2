package main

import (
	"fmt"
	"net/netip"
	"os"
	"strings"

	"ftpgate/nft"
	"ftpgate/proxy"
)

// listens returns the addresses on which all services listen.
func listens(s proxy.Settings) []netip.AddrPort {
	var all []netip.AddrPort
	for _, svc := range s.Services {
		all = append(all, svc.Listen...)
	}
	return all
}

// forwarding is the switch that lets the kernel carry data from one interface
// to another, by address family.
var forwarding = []struct {
	path, sysctl string
	family       func(netip.Addr) bool
}{
	{"/proc/sys/net/ipv4/ip_forward", "net.ipv4.ip_forward", netip.Addr.Is4},
	{"/proc/sys/net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding", netip.Addr.Is6},
}

// notForwarding returns an error for each address family that a service needs
// and the kernel does not forward. ftpgate never turns it on by itself: that
// would make a router of the host.
func notForwarding(s proxy.Settings) []error {
	var errs []error
	for _, f := range forwarding {
		if !needs(s, f.family) {
			continue
		}
		value, err := os.ReadFile(f.path)
		if err == nil && strings.TrimSpace(string(value)) != "0" {
			continue
		}
		errs = append(errs, fmt.Errorf("the kernel does not forward, so no data connection can pass: sysctl -w %s=1", f.sysctl))
	}
	return errs
}

// needs reports whether the kernel carries data of an address family.
func needs(s proxy.Settings, family func(netip.Addr) bool) bool {
	for _, svc := range s.Services {
		for _, b := range svc.Backends {
			if family(b.Addr()) && !b.Addr().IsLoopback() && !svc.OnlyRelays() {
				return true
			}
		}
	}
	return false
}

// passes are the ports for TLS that passes, of all services.
func passes(s proxy.Settings) []nft.PassPorts {
	var all []nft.PassPorts
	for _, svc := range s.Services {
		if svc.TLS.PassPorts == (proxy.PortRange{}) {
			continue
		}
		for _, b := range svc.Backends {
			all = append(all, nft.PassPorts{
				First: svc.TLS.PassPorts.First, Last: svc.TLS.PassPorts.Last, To: netip.AddrPortFrom(b.Addr(), svc.TLS.PassTo),
			})
		}
	}
	return all
}
