package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// dialledBy returns the address that the client dialled. In forward mode that
// is the server's: the kernel has redirected the connection to us.
func (s *Server) dialledBy(svc *service, conn *net.TCPConn) (netip.AddrPort, refusal) {
	local := plain(conn.LocalAddr())
	if svc.Mode != Forward {
		return local, ""
	}
	at, err := s.Original(conn)
	if err != nil || at == local { // not redirected: conntrack knows nothing else
		if svc.Explicit {
			return local, ""
		}
		return local, notRedirected
	}
	if !svc.leadsTo(at.Addr()) {
		return at, badDestination
	}
	return at, ""
}

// leadsTo applies destinations. What nobody can mean is denied whatever they say.
func (svc *service) leadsTo(a netip.Addr) bool {
	a = a.Unmap()
	switch d := &svc.Destinations; {
	case a.IsUnspecified(), a.IsMulticast(), a == broadcast, contains(d.Deny, a), d.DenySelf && isLocal(a):
		return false
	default:
		return len(d.Allow) == 0 || contains(d.Allow, a)
	}
}

var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// dialServer dials a backend, or in forward mode the server that the client meant.
func (s *session) dialServer(ctx context.Context) (*upstream, error) {
	if s.service.Mode != Forward {
		return s.service.dial(ctx, s.client.Addr())
	}
	began := time.Now()
	conn, err := s.service.securely(ctx, s.wanted, s.client.Addr())
	if err != nil {
		return nil, fmt.Errorf("server %v: %w", s.wanted, err)
	}
	s.service.metrics.connected(time.Since(began))
	return conn, nil
}
