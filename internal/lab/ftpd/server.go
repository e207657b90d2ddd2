// Package ftpd is a small FTP server over files in memory, for the demo, for benchmarks and for tests that want a
// server in their own process. It knows both address families, the four ways to a data connection, and TLS.
//
//	files := ftpd.NewTree()
//	files.Put("/hello.txt", []byte("hello\n"))
//	files.PutZeros("/zero-1G", 1<<30)
//	s := &ftpd.Server{Files: files, Listen: host.Listen, Dial: host.DialFrom}
//	ln, err := host.Listen("tcp", "10.0.0.5:21")
//	err = s.Serve(ctx, ln)
//
// Like real servers it accepts data connections from, and makes them to, the control connection's peer alone.
//
// Be aware: TYPE A is accepted and changes nothing; a file's old content is served until its upload has ended; there is
// no limit to sessions, time or memory. It is no server to put on a network.
package ftpd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server serves one tree to any number of sessions. Fields are not changed once it serves.
type Server struct {
	Files *Tree

	User, Password string // the one login; with an empty User any is good

	Greeting string // text after 220; empty: "ftpgate lab server"

	TLS               *tls.Config // offered at AUTH (RFC 4217), with the certificates in it; nil: no TLS
	Implicit          bool        // the control connection is TLS from its first byte
	RequireTLS        bool        // no login in clear
	RequireResumption bool        // protected data connections resume the control connection's TLS session

	Quirks Quirks // what the server does wrong

	// ActiveFrom is the local port of active data connections: 20 in the wild, which takes a privilege; 0 any.
	ActiveFrom int

	// Advertise is the IPv4 address that 227 says, for a server behind something that forwards ports and rewrites
	// nothing; zero: the control connection's own.
	Advertise netip.Addr

	// PassivePorts are the first and last port of passive data connections; zero: any that is free.
	PassivePorts [2]uint16

	// ConnectTimeout is how long a data connection may take before the server says 425; 0: 20 s.
	ConnectTimeout time.Duration

	// Listen and Dial make data sockets where the server is to be found; nil: in the process's own network.
	Listen func(network, addr string) (net.Listener, error)
	Dial   func(ctx context.Context, network string, from net.Addr, addr string) (net.Conn, error)

	passiveTurn atomic.Uint32 // counts through PassivePorts
}

// Serve answers on the listener until ctx ends, then ends its sessions and returns. It closes the listener. A server may
// serve several listeners.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	defer ln.Close()

	var sessions sync.WaitGroup
	defer sessions.Wait()
	defer cancel() // before the wait: it ends the sessions
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			if err == nil {
				conn.Close()
			}
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		if err != nil {
			continue // this connection's fault, not the listener's
		}
		sessions.Go(func() { newSession(s, conn).run(ctx) })
	}
}

func (s *Server) greeting() string {
	if s.Greeting == "" {
		return "ftpgate lab server"
	}
	return s.Greeting
}

func (s *Server) connectTimeout() time.Duration { return cmp.Or(s.ConnectTimeout, connectTimeout) }

func (s *Server) listen(addr string) (net.Listener, error) {
	if s.Listen == nil {
		return Listen(context.Background(), addr)
	}
	return s.Listen("tcp", addr)
}

// Listen returns a TCP listener as FTP servers have them: Go's own would speak MPTCP too, which makes every listener two
// sockets.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(ctx, "tcp", addr)
}

// listenPassive listens on an address, on a free one of the passive ports.
func (s *Server) listenPassive(on netip.Addr) (net.Listener, error) {
	first, last := s.PassivePorts[0], s.PassivePorts[1]
	if first == 0 {
		return s.listen(netip.AddrPortFrom(on, 0).String())
	}
	size := uint32(last-first) + 1
	for range size {
		// In turn, so that a port rests for as long as can be.
		port := first + uint16(s.passiveTurn.Add(1)%size)
		ln, err := s.listen(netip.AddrPortFrom(on, port).String())
		if !errors.Is(err, syscall.EADDRINUSE) {
			return ln, err
		}
	}
	return nil, fmt.Errorf("ports %d to %d are taken: %w", first, last, syscall.EADDRINUSE)
}

func (s *Server) dial(ctx context.Context, from net.Addr, addr string) (net.Conn, error) {
	if s.Dial == nil {
		d := net.Dialer{LocalAddr: from, Control: reuseAddress}
		return d.DialContext(ctx, "tcp", addr)
	}
	return s.Dial(ctx, "tcp", from, addr)
}

// reuseAddress lets connections from one local port follow each other, and stand side by side, as FTP's port 20 needs.
func reuseAddress(_, _ string, c syscall.RawConn) error {
	var opt error
	err := c.Control(func(fd uintptr) {
		opt = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	})
	return errors.Join(err, opt)
}
