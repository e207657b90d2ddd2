package proxy

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
)

// service is a Service at work, shared by its listeners and sessions.
type service struct {
	Service
	backends    []*backend
	own         []netip.AddrPort // all listeners of the gateway
	metrics     *serviceMetrics
	tally       *tally
	credentials atomic.Pointer[credentials]
	badFiles    atomic.Pointer[string]     // what was wrong with its files when they were last read again; nil: nothing
	resolved    atomic.Pointer[netip.Addr] // what AdvertiseName is; nil: not known
}

// build makes services of settings. A backend that stays keeps its state.
func (s *Server) build(settings Settings, before map[string]*service) (map[string]*service, error) {
	services := make(map[string]*service, len(settings.Services))
	var own []netip.AddrPort
	var asking sync.WaitGroup
	defer asking.Wait()
	for _, c := range settings.Services {
		if len(c.Listen) == 0 {
			return nil, fmt.Errorf("service %s: nothing to listen on", c.Name)
		}
		own = append(own, c.Listen...)
	}
	for _, c := range settings.Services {
		svc := &service{Service: c, own: own, tally: &tally{}}
		files, err := loadCredentials(&c)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", c.Name, err)
		}
		svc.credentials.Store(files)
		svc.metrics = s.Metrics.service(c.Name)
		if was := before[c.Name]; was != nil {
			svc.tally = was.tally
			if was.AdvertiseName == c.AdvertiseName {
				svc.resolved.Store(was.resolved.Load())
			}
		}
		asking.Go(func() { s.resolve(context.Background(), svc) })
		for _, at := range c.Backends {
			b := before[c.Name].backend(at)
			if b == nil {
				b = newBackend(at)
			}
			svc.backends = append(svc.backends, b)
		}
		services[c.Name] = svc
	}
	return services, nil
}
