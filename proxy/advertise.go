package proxy

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"time"

	"ftpgate/alg"
)

// announced is what the other side is told to dial. advertise changes the text
// of 227 alone: the pinhole matches what arrives here. In forward mode the
// client is told what the server said: its own address.
func (s *session) announced(p *pinhole) netip.AddrPort {
	at := p.rule.At
	if p.mode != alg.ModePASV || s.service.Mode == Forward {
		return at
	}
	if a := s.service.advertised(s.client.Addr()); a.IsValid() {
		return netip.AddrPortFrom(a, at.Port())
	}
	return at
}

// advertised is the address of a 227 to a client; zero: the one that it dialled.
func (svc *service) advertised(client netip.Addr) netip.Addr {
	for _, to := range svc.AdvertiseTo {
		if to.Clients.Contains(client) {
			return to.Address
		}
	}
	if a := svc.resolved.Load(); a != nil {
		return *a
	}
	return svc.Advertise
}

// How long the first answer to a name is waited for, and how often it is asked again.
const (
	resolveWithin = 3 * time.Second
	resolveEvery  = 30 * time.Second
)

// resolve asks for the address of advertise, where that is a name. Without an
// answer the one before stays in use.
func (s *Server) resolve(ctx context.Context, svc *service) {
	if svc.AdvertiseName == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resolveWithin)
	defer cancel()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", svc.AdvertiseName)
	if err != nil || len(found) == 0 {
		s.Logger.Warn("the name in advertise has no address; what was used before stays in use",
			"service", svc.Name, "advertise", svc.AdvertiseName, "error", err)
		return
	}
	a, before := found[0].Unmap(), svc.resolved.Load()
	if before != nil && slices.ContainsFunc(found, func(f netip.Addr) bool { return f.Unmap() == *before }) {
		return // names with several addresses are answered in turns
	}
	if svc.resolved.CompareAndSwap(before, &a) {
		s.Logger.Info("advertise was resolved", "service", svc.Name, "advertise", svc.AdvertiseName, "address", a)
	}
}

// resolveAll asks for all names again.
func (s *Server) resolveAll(ctx context.Context) {
	s.mu.Lock()
	services := s.services
	s.mu.Unlock()
	for _, svc := range services {
		go s.resolve(ctx, svc)
	}
}
