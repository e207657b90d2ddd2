package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"ftpgate/proxy"
)

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
		if svc.Mode == proxy.Forward && slices.ContainsFunc(svc.Listen, func(l netip.AddrPort) bool { return family(l.Addr()) }) {
			return true
		}
		for _, b := range svc.Backends {
			if family(b.Addr()) && !b.Addr().IsLoopback() && !svc.OnlyRelays() {
				return true
			}
		}
	}
	return false
}
