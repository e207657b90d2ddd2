package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

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
// back to us. What a service needed once stays until the daemon ends: sessions
// of before a reload still do.
func (d *daemon) routeHome(file *config.File) error {
	seen := slices.ContainsFunc(file.Settings.Services, func(svc proxy.Service) bool { return svc.FromClient })
	mark, table := file.NFT.RouteMark, file.NFT.RouteTable
	switch {
	case seen:
		if err := nft.AddReturnRoute(mark, table); err != nil { // again and again: others flush rules and routes
			return err
		}
		d.routed.Store(true)
		return d.table.SetTransparent(mark)
	case !d.routed.Load(): // what a daemon left that was killed
		if err := nft.RemoveReturnRoute(mark, table); err != nil {
			d.log.Debug("no route of transparent connections was taken down", "error", err)
		}
	}
	return nil
}

// keepRoute puts the return route back if somebody has flushed it.
func (d *daemon) keepRoute(ctx context.Context) error {
	for tick := time.NewTicker(keepRouteEvery); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
			if !d.routed.Load() {
				continue
			}
			if err := nft.AddReturnRoute(d.routeMark, d.routeTable); err != nil {
				d.log.Error("the route of transparent connections cannot be kept: sessions with source = \"client\" get no answers", "error", err)
			}
		}
	}
}

// keepRouteEvery is how long transparent sessions may be without their route.
const keepRouteEvery = 10 * time.Second

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
