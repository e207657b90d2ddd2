package proxy

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// relayPorts are where the process takes relayed data, on all addresses: a
// listener for each family that the host has. Pinholes lead there; who dials
// them directly gets nothing.
type relayPorts struct {
	listeners []*net.TCPListener
	v4, v6    uint16
}

// ListenRelay opens the relay's listeners, once and before Reload, and returns
// their ports, for the firewall to keep direct dials away from them.
func (s *Server) ListenRelay() ([]uint16, error) {
	var ports []uint16
	for _, l := range []struct {
		network string
		port    *uint16
	}{{"tcp4", &s.relayPorts.v4}, {"tcp6", &s.relayPorts.v6}} {
		listener, err := listenRelay(l.network)
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.EADDRNOTAVAIL) {
			continue // a host without this family
		}
		if err != nil {
			s.relayPorts.close()
			return nil, fmt.Errorf("listen for relayed data: %w", err)
		}
		*l.port = plain(listener.Addr()).Port()
		s.relayPorts.listeners = append(s.relayPorts.listeners, listener)
		ports = append(ports, *l.port)
		s.accepting.Go(func() {
			acceptAll(listener, s.Logger, func(conn *net.TCPConn) { s.takeRelayed(conn) })
		})
	}
	return ports, nil
}

func listenRelay(network string) (*net.TCPListener, error) {
	c := net.ListenConfig{KeepAlive: -1, Control: func(_, _ string, raw syscall.RawConn) error { return control(raw, tuneData) }}
	c.SetMultipathTCP(false) // a data connection is as the peer dialled it
	l, err := c.Listen(context.Background(), network, ":0")
	if err != nil {
		return nil, err
	}
	return l.(*net.TCPListener), nil
}

func (p *relayPorts) close() {
	for _, l := range p.listeners {
		_ = l.Close()
	}
}

// at is where a pinhole at an address of ours leads to.
func (p *relayPorts) at(a netip.Addr) netip.AddrPort {
	if a.Is4() {
		return netip.AddrPortFrom(a, p.v4)
	}
	return netip.AddrPortFrom(a, p.v6)
}

// OriginalDestination returns what the peer of a connection dialled, before
// the kernel took the connection to us.
func OriginalDestination(conn *net.TCPConn) (at netip.AddrPort, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return at, err
	}
	const original = 80 // SO_ORIGINAL_DST and IP6T_SO_ORIGINAL_DST
	err = control(raw, func(fd int) error {
		if plain(conn.LocalAddr()).Addr().Is4() {
			sa, err := unix.GetsockoptIPv6Mreq(fd, unix.SOL_IP, original) // 16 bytes, as a sockaddr_in
			if err == nil {
				b := sa.Multiaddr
				at = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[4:8])), uint16(b[2])<<8|uint16(b[3]))
			}
			return err
		}
		info, err := unix.GetsockoptIPv6MTUInfo(fd, unix.SOL_IPV6, original) // begins with a sockaddr_in6
		if err == nil {
			port := binary.NativeEndian.AppendUint16(nil, info.Addr.Port) // it is in network order
			at = netip.AddrPortFrom(netip.AddrFrom16(info.Addr.Addr), binary.BigEndian.Uint16(port))
		}
		return err
	})
	return at, err
}

// relays are all relayed data connections that run.
type relays struct {
	mu      sync.Mutex
	running map[*relayed]struct{}
}

func (rs *relays) add(r *relayed) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.running == nil {
		rs.running = map[*relayed]struct{}{}
	}
	rs.running[r] = struct{}{}
}

func (rs *relays) count() int {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	return len(rs.running)
}

func (rs *relays) remove(r *relayed) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	delete(rs.running, r)
}

// tick cuts those whose session is gone and that have stood still for as long
// as an idle session may.
func (rs *relays) tick(now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r := range rs.running {
		if r.stands(now) {
			r.session.log(slog.LevelInfo, "a relayed data connection stood still after its session; it is cut")
			r.cut()
		}
	}
}

// stands reports whether nothing waits for a relay and nothing moves in it.
func (r *relayed) stands(now time.Time) bool {
	carried := int64(0)
	if joined := r.joined.Load(); joined != nil {
		carried = joined.Carried()
	}
	if r.session.readers.Load() > 0 || r.seen.at.IsZero() || carried != r.seen.carried {
		r.seen.carried, r.seen.at = carried, now
		return false
	}
	return now.Sub(r.seen.at) > r.session.service.Timeouts.Idle
}

// account counts what they have carried, and ends the sessions of those that
// stand still in the middle of a transfer.
func (rs *relays) account(now time.Time) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r := range rs.running {
		r.account()
		if n := r.received(); n != r.arrived || r.movedAt.IsZero() {
			r.arrived, r.movedAt = n, now
		} else if now.Sub(r.movedAt) > r.session.service.Timeouts.Stalled {
			go r.session.standsStill(r.pinhole)
		}
	}
}

// cut ends all of them.
func (rs *relays) cut() {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for r := range rs.running {
		r.cut()
	}
}
