package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// listener is one address on which a service listens. A reload can hand it to
// another service.
type listener struct {
	*net.TCPListener
	at      netip.AddrPort
	service atomic.Pointer[service]
}

// listen binds at, which need not be an address of this host yet.
func listen(at netip.AddrPort) (*listener, error) {
	c := net.ListenConfig{KeepAlive: -1, Control: func(network, _ string, raw syscall.RawConn) error {
		return control(raw, func(fd int) error { // accepted connections inherit what tune sets
			freebind := unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_FREEBIND, 1)
			if network == "tcp6" {
				freebind = unix.SetsockoptInt(fd, unix.SOL_IPV6, unix.IPV6_FREEBIND, 1)
			}
			return errors.Join(freebind, tune(fd))
		})
	}}
	c.SetMultipathTCP(false) // it has no urgent data, and data connections do not have it
	network := "tcp4"
	if at.Addr().Is6() {
		network = "tcp6"
	}
	l, err := c.Listen(context.Background(), network, at.String())
	if errors.Is(err, unix.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %v: the port is taken%s", at, holder(at))
	}
	if errors.Is(err, unix.EACCES) {
		return nil, fmt.Errorf("listen on %v: a port below 1024 needs CAP_NET_BIND_SERVICE: run as root, or grant it with: "+
			"setcap cap_net_admin,cap_net_bind_service+ep $(command -v ftpgate)", at)
	}
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return &listener{TCPListener: l.(*net.TCPListener), at: at}, nil
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l *listener) {
	acceptAll(l.TCPListener, s.Logger, func(conn *net.TCPConn) { s.serve(l.service.Load(), conn) })
}

// acceptAll gives each connection a goroutine, until the listener is closed.
func acceptAll(l *net.TCPListener, log *slog.Logger, serve func(*net.TCPConn)) {
	for pause := time.Duration(0); ; {
		conn, err := l.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of descriptors or memory: it passes
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			log.Warn("a connection could not be accepted", "listen", l.Addr(), "error", err, "again_in", pause)
			time.Sleep(pause)
			continue
		}
		pause = 0
		go serve(conn)
	}
}
