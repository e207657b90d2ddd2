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
	if inner := embedded(a); inner.IsValid() && !svc.leadsTo(inner) {
		return false // a translator on the way would take it there
	}
	switch d := &svc.Destinations; {
	case a.IsUnspecified(), a.IsMulticast(), contains(nowhere, a), contains(d.Deny, a), d.DenySelf && isLocal(a):
		return false
	default:
		return len(d.Allow) == 0 || contains(d.Allow, a)
	}
}

// nowhere is what is no address of a host (RFC 6890 §2.2.2).
var nowhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4")}

// translated are the prefixes of IPv6 addresses that have an IPv4 address in
// them, and where: NAT64 (RFC 6052, RFC 8215), 6to4 (RFC 3056), and the
// IPv4-compatible ones of old (RFC 4291 §2.5.5.1).
var translated = []struct {
	prefix netip.Prefix
	from   int // byte
}{
	{netip.MustParsePrefix("64:ff9b::/96"), 12}, {netip.MustParsePrefix("64:ff9b:1::/48"), 12},
	{netip.MustParsePrefix("2002::/16"), 2}, {netip.MustParsePrefix("::/96"), 12},
}

// embedded returns the IPv4 address in an IPv6 address; the zero Addr: it has none.
func embedded(a netip.Addr) netip.Addr {
	for _, t := range translated {
		if t.prefix.Contains(a) && a != netip.IPv6Loopback() && !a.IsUnspecified() {
			b := a.As16()
			return netip.AddrFrom4([4]byte(b[t.from : t.from+4]))
		}
	}
	return netip.Addr{}
}

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
