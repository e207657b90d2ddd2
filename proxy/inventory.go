package proxy

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/proxy/api"
)

// SessionsLimit returns how many sessions there can be at once.
func (s *Server) SessionsLimit() int { return s.door.limit() }

// Relays returns how many data connections the process carries itself.
func (s *Server) Relays() int { return s.relays.count() }

// tlsModes are what tls.mode says.
var tlsModes = [...]string{alg.RefuseTLS: "refuse", alg.PassTLS: "pass", alg.TerminateTLS: "terminate"}

// Services returns the services that there are, in the order of the configuration.
func (s *Server) Services() []api.Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	views := []api.Service{}
	sessions := map[string]int{}
	for sess := range s.sessions {
		sessions[sess.service.Name]++
	}
	open := s.pinholes.countByService()
	for _, c := range s.settings.Services {
		svc := s.services[c.Name]
		v := api.Service{
			Name: c.Name, Mode: string(c.Mode), TLS: tlsModes[c.TLS.Mode], Sessions: sessions[c.Name], Pinholes: open[c.Name],
			Listen: []string{}, Backends: []api.Backend{}, Transfers: int(svc.tally.running.Load()),
			Done: svc.tally.done.Load(), Failed: svc.tally.failed.Load(),
			ToClients: svc.tally.toClients.Load(), ToServers: svc.tally.toServers.Load(),
		}
		for _, at := range c.Listen {
			v.Listen = append(v.Listen, at.String())
		}
		for _, b := range svc.backends {
			v.Backends = append(v.Backends, api.Backend{Address: b.at.String(), Up: b.up.Load()})
		}
		views = append(views, v)
	}
	return views
}

// countByService counts the pinholes that are open and unused.
func (ps *pinholes) countByService() map[string]int {
	open := map[string]int{}
	for _, p := range ps.all() {
		if !p.connected.Load() {
			open[p.session.service.Name]++
		}
	}
	return open
}

// showShares shows how many ports the client with the most of them holds.
func (s *Server) showShares() {
	type share struct {
		service *serviceMetrics
		client  netip.Addr
	}
	held, most := map[share]int{}, map[*serviceMetrics]int{}
	for _, p := range s.pinholes.all() {
		if p.mode == alg.ModeAUTH { // it holds no port
			continue
		}
		of := share{p.session.service.metrics, p.session.client.Addr()}
		held[of]++
		most[of.service] = max(most[of.service], held[of])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, svc := range s.services {
		svc.metrics.portsMax.Set(float64(most[svc.metrics]))
	}
}

// Pinholes returns those that sessions hold, the oldest session first.
func (s *Server) Pinholes() []api.Pinhole {
	views := []api.Pinhole{}
	now := time.Now()
	for _, p := range s.pinholes.all() {
		views = append(views, p.view(now))
	}
	slices.SortFunc(views, func(a, b api.Pinhole) int {
		return cmp.Or(cmp.Compare(a.Session, b.Session), a.Opened.Compare(b.Opened), cmp.Compare(a.At, b.At))
	})
	return views
}

// held is a pinhole that a session holds, with what of it changes.
type held struct {
	*pinhole
	rule    nft.Pinhole
	expires time.Time
}

// all returns those that are open.
func (ps *pinholes) all() []held {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	all := make([]held, 0, len(ps.open)+len(ps.passes))
	for _, p := range ps.open {
		all = append(all, held{p, p.rule, p.expires})
	}
	for p := range ps.passes {
		all = append(all, held{p, p.rule, p.expires})
	}
	return all
}

// view is a pinhole as people see it.
func (h held) view(now time.Time) api.Pinhole {
	v := api.Pinhole{
		Session: h.session.id, Service: h.session.service.Name, Mode: h.mode.String(), From: h.rule.From.String(),
		At: h.rule.At.String(), To: h.to.String(), Relayed: h.relayed, Opened: h.opened, Used: h.connected.Load(),
	}
	if h.rule.Peers > 0 {
		prefix, _ := h.rule.From.Prefix(h.rule.Peers) // cannot fail: it is in force
		v.From = prefix.String()
	}
	if tls := &h.session.service.TLS; h.mode == alg.ModeAUTH { // all ports that the service declares
		v.At = portsAt(h.rule.At.Addr(), tls.PassPorts)
		v.To = portsAt(h.to.Addr(), PortRange{tls.PassTo, tls.PassTo + uint16(tls.PassPorts.Size()-1)})
	}
	if !v.Used {
		v.Remaining = max(0, h.expires.Sub(now).Seconds())
	}
	return v
}

// portsAt writes a range of ports like an address with a port.
func portsAt(a netip.Addr, ports PortRange) string {
	return netip.AddrPortFrom(a, ports.First).String() + "-" + strconv.Itoa(int(ports.Last))
}
