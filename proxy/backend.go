package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// backend is a server that a service fronts.
type backend struct {
	at netip.AddrPort
	up atomic.Bool // what the last dial said; true before the first
}

func newBackend(at netip.AddrPort) *backend {
	b := &backend{at: at}
	b.up.Store(true)
	return b
}

// errNoBackend says that a service has no backend of the client's family.
var errNoBackend = errors.New("no backend of the client's address family")

// dial connects to the first backend of the client's family that answers.
func (svc *service) dial(ctx context.Context, client netip.Addr) (*net.TCPConn, error) {
	var errs []error
	for _, b := range svc.backends {
		if b.at.Addr().Is4() != client.Is4() {
			continue
		}
		began := time.Now()
		conn, err := svc.dialOne(ctx, b)
		if err == nil {
			svc.metrics.connected(time.Since(began))
			return conn, nil
		}
		errs = append(errs, err)
	}
	if errs == nil {
		return nil, errNoBackend
	}
	return nil, errors.Join(errs...)
}

func (svc *service) dialOne(ctx context.Context, b *backend) (*net.TCPConn, error) {
	d := net.Dialer{Timeout: svc.Timeouts.Connect, KeepAliveConfig: keepAlive}
	if a := svc.SourceAddress; a.IsValid() && a.Is4() == b.at.Addr().Is4() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	conn, err := d.DialContext(ctx, "tcp", b.at.String())
	if ctx.Err() == nil {
		b.up.Store(err == nil)
		svc.metrics.setBackendUp(b.at, err == nil)
	}
	if err != nil {
		return nil, fmt.Errorf("backend %v: %w", b.at, err)
	}
	return conn.(*net.TCPConn), nil
}

// probeBackends looks whether backends that were down can be reached again.
// Without it a service that nobody uses because it is down would stay down.
func (s *Server) probeBackends(ctx context.Context) {
	s.mu.Lock()
	services := s.services
	s.mu.Unlock()
	for _, svc := range services {
		for _, b := range svc.backends {
			if b.up.Load() {
				continue
			}
			go func() {
				if conn, err := svc.dialOne(ctx, b); err == nil {
					_ = conn.Close()
					s.Logger.Info("a backend is back", "service", svc.Name, "backend", b.at)
				}
			}()
		}
	}
}
