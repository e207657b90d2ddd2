package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"ftpgate/proxy"
)

// listenAddress tells addresses that are elsewhere for now from mistyped ones:
// the admin can.
func listenAddress(_ context.Context, h *host) ([]Finding, error) {
	links, err := h.links()
	if err != nil {
		return nil, err
	}
	var found []Finding
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			a := l.Addr()
			if a.IsUnspecified() || a.IsLoopback() || links[a] != "" {
				continue
			}
			f := Finding{
				Severity: Notice, About: l.String(), Seen: fmt.Sprintf("no interface has %v, where service %s listens", a, svc.Name),
				Why:  "clients reach the service only while the address is here",
				Edit: "nothing, if it is one that moves between hosts and is elsewhere now; else correct listen",
			}
			if link, err := routeTo(a, netip.Addr{}); err == nil && link != "" {
				f.Edit += fmt.Sprintf(", or give it to this host: ip address add %v dev %s", single(a), link)
			}
			found = append(found, f)
		}
	})
	return found, nil
}

// advertised says what must be mapped to us, or that something may have to.
func advertised(ctx context.Context, h *host) ([]Finding, error) {
	links, err := h.links()
	if err != nil {
		return nil, err
	}
	var found []Finding
	h.each(func(svc *proxy.Service) {
		if !svc.Passive || svc.Mode == proxy.Forward {
			return
		}
		if svc.AdvertiseName != "" {
			found = append(found, unresolved(ctx, svc)...)
			return
		}
		for _, l := range svc.Listen {
			if !l.Addr().Is4() {
				continue // 229 names no address
			}
			if f, ok := advertisedAt(svc, l, links); ok {
				found = append(found, f)
			}
		}
	})
	return found, nil
}

// unresolved asks for the address of the name that clients are told the address of.
func unresolved(ctx context.Context, svc *proxy.Service) []Finding {
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip4", svc.AdvertiseName)
	if err == nil && len(addresses) > 0 {
		return nil
	}
	return []Finding{{
		Severity: Warning, About: svc.Name + " " + svc.AdvertiseName,
		Seen: fmt.Sprintf("%s, the name of which service %s tells clients the address, cannot be resolved: %v", svc.AdvertiseName, svc.Name, err),
		Why:  "until it can be, clients are told the address that it had before, or the one that they dialled",
		Edit: "see that this host can ask a name server (/etc/resolv.conf), or write the address in advertise",
	}}
}

func advertisedAt(svc *proxy.Service, l netip.AddrPort, links map[netip.Addr]string) (Finding, bool) {
	f := Finding{Severity: Notice, About: fmt.Sprintf("%s %v", svc.Name, l)}
	ports := []string{fmt.Sprint(l.Port())}
	for _, r := range dataPorts(svc) {
		ports = append(ports, fmt.Sprintf("%d-%d", r.First, r.Last))
	}
	mapped := strings.Join(ports, " and ")
	switch {
	case svc.Advertise.IsValid() && links[svc.Advertise] == "":
		f.Seen = fmt.Sprintf("clients of service %s are told %v (advertise), which no interface has", svc.Name, svc.Advertise)
		f.Why = "passive transfers need something in front that maps that address to us"
		f.Edit = fmt.Sprintf("see that TCP ports %s of %v lead to the same ports of %v; if nothing maps them, leave advertise out", mapped, svc.Advertise, l.Addr())
	case !svc.Advertise.IsValid() && svc.AdvertiseTo == nil && l.Addr().IsPrivate() && len(svc.Clients) == 0:
		f.Seen = fmt.Sprintf("service %s listens on %v, a private address, and tells it to clients", svc.Name, l.Addr())
		f.Why = "clients beyond a NAT in front of this host cannot dial it"
		f.Edit = fmt.Sprintf("if there is one: write its public address in advertise, and see that TCP ports %s of it lead here; if not, say in clients who may connect", mapped)
	default:
		return Finding{}, false
	}
	return f, true
}
