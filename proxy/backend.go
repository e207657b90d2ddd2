package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// backend is a server that a service fronts.
type backend struct {
	at        netip.AddrPort
	up        atomic.Bool // what the last dial said; true before the first
	offersTLS atomic.Bool // which clients lose here
}

func newBackend(at netip.AddrPort) *backend {
	b := &backend{at: at}
	b.up.Store(true)
	return b
}

// backend returns the one at an address, or nil; a nil service has none.
func (svc *service) backend(at netip.AddrPort) *backend {
	if svc != nil {
		for _, b := range svc.backends {
			if b.at == at {
				return b
			}
		}
	}
	return nil
}

// showBackends brings the metrics of backends from the services that there
// are to those that come.
func (s *Server) showBackends(services map[string]*service) {
	for name, svc := range s.services {
		for _, b := range svc.backends {
			if services[name].backend(b.at) == nil {
				svc.metrics.forgetBackend(b.at) // its TLS too
			}
		}
	}
	for _, svc := range services {
		for _, b := range svc.backends {
			svc.metrics.setBackendUp(b.at, b.up.Load())
		}
	}
}

// errNoBackend says that a service has no backend that its clients can reach.
var errNoBackend = errors.New("no backend of the client's address family (data = \"kernel\" cannot lead to another)")

// candidates are the backends of the client's family. Only where there is
// none, those of the other one: their data has to be relayed.
func (svc *service) candidates(client netip.Addr) []*backend {
	var same, other []*backend
	for _, b := range svc.backends {
		if b.at.Addr().Is4() == client.Is4() {
			same = append(same, b)
		} else if svc.Data != DataKernel {
			other = append(other, b)
		}
	}
	if same != nil {
		return same
	}
	return other
}

// dial connects to the first backend for the client that answers as it must.
func (svc *service) dial(ctx context.Context, client netip.Addr) (*upstream, error) {
	var errs []error
	for _, b := range svc.candidates(client) {
		began := time.Now()
		conn, err := svc.dialOne(ctx, b, client)
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

func (svc *service) dialOne(ctx context.Context, b *backend, client netip.Addr) (*upstream, error) {
	conn, err := svc.securely(ctx, b.at, client)
	if ctx.Err() == nil {
		b.up.Store(err == nil)
		svc.metrics.setBackendUp(b.at, err == nil)
	}
	if err != nil {
		return nil, fmt.Errorf("backend %v: %w", b.at, err)
	}
	return conn, nil
}

// securely connects, and makes the TLS that backend_tls asks for.
func (svc *service) securely(ctx context.Context, at netip.AddrPort, client netip.Addr) (*upstream, error) {
	conn, err := svc.reach(ctx, at, client)
	if err != nil {
		return nil, err
	}
	u := &upstream{wire: &wire{TCPConn: conn}}
	if c := svc.credentials.Load(); c != nil && c.backend != nil {
		u.config = c.forBackend(at.Addr().String())
		if err := u.secure(svc); err != nil {
			_ = conn.Close()
			return nil, err
		}
	}
	return u, nil
}

// errToSelf is found before dialling: each session that dialled the gateway
// would make another one that dials it.
var errToSelf = errors.New("it is this gateway itself: correct backends")

// reach dials, from the client's own address where the service says so; a
// client that is not valid is none.
func (svc *service) reach(ctx context.Context, at netip.AddrPort, client netip.Addr) (*net.TCPConn, error) {
	if svc.isOwn(at) {
		return nil, errToSelf
	}
	d := net.Dialer{Timeout: svc.Timeouts.Connect, KeepAlive: -1, Control: tuneDialled}
	if a := svc.SourceAddress; a.IsValid() && a.Is4() == at.Addr().Is4() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(a, 0))
	}
	if svc.FromClient && client.IsValid() {
		return dialAs(ctx, d, client, at)
	}
	conn, err := d.DialContext(ctx, "tcp", at.String()) // not DialTCP: it binds, and so wastes ports, without a local address too
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// Ports of a client that we take for ourselves. Its own system takes others: in
// forward mode its connection to the same server is known here by its port.
const firstTransparent, transparentPorts = 10000, 20000

// dialAs dials from a client's own address.
func dialAs(ctx context.Context, d net.Dialer, client netip.Addr, at netip.AddrPort) (*net.TCPConn, error) {
	d.Control = tuneTransparent
	for tries := maxTries; ; tries-- {
		port := uint16(firstTransparent + randomBelow(transparentPorts))
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(client, port))
		conn, err := d.DialContext(ctx, "tcp", at.String())
		switch {
		case err == nil:
			return conn.(*net.TCPConn), nil
		case tries == 0 || !errors.Is(err, unix.EADDRINUSE) && !errors.Is(err, unix.EADDRNOTAVAIL):
			return nil, err
		}
	}
}

func tuneDialled(_, _ string, raw syscall.RawConn) error { return control(raw, tune) }

// tuneTransparent lets a socket have an address that is not ours.
func tuneTransparent(network, _ string, raw syscall.RawConn) error {
	level, option := unix.SOL_IP, unix.IP_TRANSPARENT
	if network == "tcp6" {
		level, option = unix.SOL_IPV6, unix.IPV6_TRANSPARENT
	}
	return control(raw, func(fd int) error { return errors.Join(tune(fd), unix.SetsockoptInt(fd, level, option, 1)) })
}

// isOwn reports whether one of the gateway's listeners would answer at at.
func (svc *service) isOwn(at netip.AddrPort) bool {
	for _, own := range svc.own {
		if own == at || own.Port() == at.Port() && own.Addr().IsUnspecified() && isLocal(at.Addr()) {
			return true
		}
	}
	return false
}

// isLocal reports whether this host has the address: the kernel then takes the
// address itself as the source of what goes there. Connecting a UDP socket asks
// it and sends nothing.
func isLocal(a netip.Addr) bool {
	if a.IsLoopback() {
		return true
	}
	const discard = 9
	conn, err := net.Dial("udp", netip.AddrPortFrom(a, discard).String())
	if err != nil {
		return false
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap() == a.Unmap()
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
				if conn, err := svc.dialOne(ctx, b, netip.Addr{}); err == nil {
					_ = conn.Close()
					s.Logger.Info("a backend is back", "service", svc.Name, "backend", b.at)
				}
			}()
		}
	}
}
