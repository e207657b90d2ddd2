package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"ftpgate/internal/config"
	"ftpgate/nft"
	"ftpgate/proxy"
)

// admit tells the table what of a configuration it must know.
func (d *daemon) admit(file *config.File) error {
	chains, err := acceptChains(file)
	if err != nil {
		return err
	}
	s := file.Settings
	return errors.Join(d.table.SetListen(listens(s)), d.table.SetPass(passes(s)),
		d.table.SetIntercept(intercepts(s)), d.table.SetAccept(chains), d.routeHome(file))
}

// routeHome makes the answers to connections that bear a client's address come
// back to us, while a service has such connections.
func (d *daemon) routeHome(file *config.File) error {
	seen := slices.ContainsFunc(file.Settings.Services, func(svc proxy.Service) bool { return svc.FromClient })
	switch {
	case seen && !d.routed:
		if err := nft.AddReturnRoute(file.NFT.RouteMark, file.NFT.RouteTable); err != nil {
			return err
		}
		d.routed = true
		return d.table.SetTransparent(file.NFT.RouteMark)
	case !seen && d.routed:
		d.routed = false
		return errors.Join(d.table.SetTransparent(0), nft.RemoveReturnRoute(file.NFT.RouteMark, file.NFT.RouteTable))
	}
	return nil
}

// listens returns the addresses on which all services listen.
func listens(s proxy.Settings) []netip.AddrPort {
	var all []netip.AddrPort
	for _, svc := range s.Services {
		all = append(all, svc.Listen...)
	}
	return all
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

// intercepts are the connections that come to forward services, by service and
// address family.
func intercepts(s proxy.Settings) []nft.Intercept {
	var all []nft.Intercept
	for _, svc := range s.Services {
		if svc.Mode != proxy.Forward {
			continue
		}
		for _, family := range []func(netip.Addr) bool{netip.Addr.Is4, netip.Addr.Is6} {
			in := nft.Intercept{
				From: only(svc.Intercept.From, family), Except: only(svc.Intercept.Except, family),
				Interfaces: svc.Intercept.Interfaces, Ports: svc.Intercept.Ports,
			}
			for _, l := range svc.Listen {
				if family(l.Addr()) {
					in.To = append(in.To, l)
				}
			}
			if len(in.From) > 0 && len(in.To) > 0 {
				all = append(all, in)
			}
		}
	}
	return all
}

// only returns the prefixes of an address family.
func only(prefixes []netip.Prefix, family func(netip.Addr) bool) []netip.Prefix {
	return slices.DeleteFunc(slices.Clone(prefixes), func(p netip.Prefix) bool { return !family(p.Addr()) })
}

// acceptChains are the chains of accept_in.
func acceptChains(file *config.File) ([]nft.ChainRef, error) {
	var chains []nft.ChainRef
	for _, name := range file.NFT.AcceptIn {
		c, err := nft.ParseChainRef(name)
		if err != nil {
			return nil, fmt.Errorf("nft.accept_in: %w", err)
		}
		chains = append(chains, c)
	}
	return chains, nil
}
