package conntrack_test

import (
	"context"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

const mark = nft.DefaultMark

// family is the lab's addresses of one kind.
type family struct {
	name                     string
	client, wan, lan, server netip.Addr
}

var families = []family{
	{"IPv4", lab.ClientV4, lab.WanV4, lab.LanV4, lab.ServerV4},
	{"IPv6", lab.ClientV6, lab.WanV6, lab.LanV6, lab.ServerV6},
}

// scene is a lab with a table of pinholes, and one family of addresses in it.
type scene struct {
	*lab.Lab
	*testing.T
	family
	table *nft.Table
}

func eachFamily(t *testing.T, f func(s *scene)) {
	labtest.NeedRoot(t)
	for _, a := range families {
		t.Run(a.name, func(t *testing.T) {
			s := &scene{labtest.New(t, lab.Options{}), t, a, nil}
			s.onGateway(func() (err error) {
				s.table, err = nft.Open(nft.Config{Owner: true})
				return err
			})
			t.Cleanup(func() { s.table.Release() })
			s.onGateway(conntrack.EnableAccounting)
			f(s)
		})
	}
}

func (s *scene) onGateway(f func() error) {
	s.Helper()
	if err := s.Gateway.Do(f); err != nil {
		s.Fatal(err)
	}
}

func (s *scene) dial() *conntrack.Conn {
	s.Helper()
	var c *conntrack.Conn
	s.onGateway(func() (err error) {
		c, err = conntrack.Dial()
		return err
	})
	s.Cleanup(func() { c.Close() })
	return c
}

func (s *scene) listen(h *lab.Host, a netip.Addr) net.Listener {
	s.Helper()
	ln, err := h.Listen("tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { ln.Close() })
	return ln
}

func addrOf(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// passive is a pinhole for the client to a listener of the server.
func (s *scene) passive(port uint16, ln net.Listener) nft.Pinhole {
	return s.pinhole(port, addrOf(ln.Addr()))
}

func (s *scene) pinhole(port uint16, to netip.AddrPort) nft.Pinhole {
	return nft.Pinhole{From: s.client, At: netip.AddrPortFrom(s.wan, port), To: to, Source: netip.AddrPortFrom(s.lan, 0)}
}

// outward is a pinhole for the server, as a client inside, to a listener of the
// client, as a server abroad.
func (s *scene) outward(ln net.Listener) nft.Pinhole {
	return nft.Pinhole{From: s.server, At: addrOf(ln.Addr()), To: addrOf(ln.Addr()), Source: netip.AddrPortFrom(s.wan, 0)}
}

// through opens the pinhole and connects through it.
func (s *scene) through(from *lab.Host, p nft.Pinhole, ln net.Listener) (dialled, accepted net.Conn) {
	s.Helper()
	if err := s.table.Open(p); err != nil {
		s.Fatal(err)
	}
	return s.connect(from, p.At, ln)
}

func (s *scene) connect(from *lab.Host, at netip.AddrPort, ln net.Listener) (dialled, accepted net.Conn) {
	s.Helper()
	return s.connectFrom(from, nil, at, ln)
}

func (s *scene) connectFrom(from *lab.Host, local net.Addr, at netip.AddrPort, ln net.Listener) (dialled, accepted net.Conn) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	dialled, err := from.DialFrom(ctx, "tcp", local, at.String())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { dialled.Close() })
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
	if accepted, err = ln.Accept(); err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { accepted.Close() })
	for _, c := range []net.Conn{dialled, accepted} {
		c.SetDeadline(time.Now().Add(5 * time.Second))
	}
	return dialled, accepted
}

// send moves n bytes and ends the connection, the sender first, as a server
// ends a download.
func (s *scene) send(n int64, from, to net.Conn) {
	s.Helper()
	sent := make(chan error, 1)
	go func() {
		_, err := io.CopyN(from, zeros{}, n)
		sent <- err
		from.Close()
	}()
	if got, err := io.Copy(io.Discard, to); got != n || err != nil {
		s.Fatalf("received %d bytes of %d: %v", got, n, err)
	}
	if err := <-sent; err != nil {
		s.Fatal(err)
	}
	to.Close()
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// listening runs a listener until the test ends and returns its events.
func (s *scene) listening(cfg conntrack.ListenConfig) (*conntrack.Listener, <-chan conntrack.Event) {
	s.Helper()
	l := s.subscribe(cfg)
	return l, s.run(l)
}

func (s *scene) subscribe(cfg conntrack.ListenConfig) *conntrack.Listener {
	s.Helper()
	cfg.Mark = mark
	var l *conntrack.Listener
	s.onGateway(func() (err error) {
		l, err = conntrack.Listen(cfg)
		return err
	})
	return l
}

func (s *scene) run(l *conntrack.Listener) <-chan conntrack.Event {
	s.Helper()
	events := make(chan conntrack.Event, 4096)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx, func(e conntrack.Event) { events <- e }) }()
	s.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.Errorf("run: %v", err)
		}
	})
	return events
}

// next returns the next event of a type; events of other types are passed over.
func (s *scene) next(events <-chan conntrack.Event, t conntrack.EventType) conntrack.Event {
	s.Helper()
	timeout := time.After(5 * time.Second)
	for {
		select {
		case e := <-events:
			if e.Type == t {
				return e
			}
		case <-timeout:
			s.Fatalf("no %v event", t)
		}
	}
}

func (s *scene) until(what string, done func() bool) {
	s.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for tick := time.NewTicker(2 * time.Millisecond); !done(); <-tick.C {
		if time.Now().After(deadline) {
			s.Fatalf("waited in vain: %s", what)
		}
	}
}
