package nft_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// family is the lab's addresses of one kind.
type family struct {
	name                               string
	client, client2, wan, lan, servers netip.Addr
}

var (
	v4   = family{"IPv4", lab.ClientV4, lab.Client2V4, lab.WanV4, lab.LanV4, lab.ServerV4}
	v6   = family{"IPv6", lab.ClientV6, lab.Client2V6, lab.WanV6, lab.LanV6, lab.ServerV6}
	both = []family{v4, v6}
)

// scene is a lab whose gateway gets a table.
type scene struct {
	*lab.Lab
	*testing.T
	without nft.Features
}

// eachKernel runs a test with the kernel's features and without them.
func eachKernel(t *testing.T, f func(s *scene)) {
	labtest.NeedRoot(t)
	for name, without := range map[string]nft.Features{
		"owner and destroy": {},
		"plain":             {Owner: true, Destroy: true},
	} {
		t.Run(name, func(t *testing.T) {
			f(&scene{labtest.New(t, lab.Options{SecondClient: true}), t, without})
		})
	}
}

// eachFamily runs a test for IPv4 and IPv6, in one scene and table.
func eachFamily(t *testing.T, f func(s *scene, table *nft.Table, a family)) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		for _, a := range both {
			s.Run(a.name, func(t *testing.T) {
				f(&scene{s.Lab, t, s.without}, table, a)
			})
		}
	})
}

func (s *scene) tryOpen(cfg nft.Config) (table *nft.Table, err error) {
	cfg.Owner, cfg.Without = true, s.without
	err = errors.Join(s.Gateway.Do(func() error {
		table, err = nft.Open(cfg)
		return nil
	}), err)
	return table, err
}

func (s *scene) open(cfg nft.Config) *nft.Table {
	s.Helper()
	table, err := s.tryOpen(cfg)
	if err != nil {
		s.Fatal(err)
	}
	if got, want := table.Features(), (nft.Features{Owner: !s.without.Owner, Destroy: !s.without.Destroy}); got != want {
		s.Fatalf("features %+v, want %+v: these tests are for Linux 6.9 or later", got, want)
	}
	s.Cleanup(func() {
		if err := table.Release(); err != nil && !errors.Is(err, nft.ErrClosed) {
			s.Error(err)
		}
	})
	return table
}

// nft runs the nft command on the gateway: the unpacked one, or the test is
// skipped where that has not been fetched.
func (s *scene) nft(args ...string) string {
	s.Helper()
	out, err := s.tryNFT(args...)
	if err != nil {
		s.Fatalf("nft %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func (s *scene) tryNFT(args ...string) (string, error) {
	s.Helper()
	out, err := labtest.Tree(s.T).Command(s.Context(), s.Gateway, nil, "nft", args...).CombinedOutput()
	return string(out), err
}

// passive is a pinhole from the client through a port of the gateway to a
// listener, leaving from the gateway's inside address.
func (a family) passive(port uint16, to net.Listener) nft.Pinhole {
	return nft.Pinhole{
		From: a.client, At: netip.AddrPortFrom(a.wan, port), To: addrOf(to.Addr()),
		Source: netip.AddrPortFrom(a.lan, 0), Comment: "files/42 passive",
	}
}

// active is a pinhole from the server through a port of the gateway to a
// listener of the client, leaving from port 20 of the outside address.
func (a family) active(port uint16, to net.Listener) nft.Pinhole {
	return nft.Pinhole{
		From: a.servers, At: netip.AddrPortFrom(a.lan, port), To: addrOf(to.Addr()),
		Source: netip.AddrPortFrom(a.wan, 20), Comment: "files/42 active",
	}
}

func addrOf(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// listen listens on a free port.
func (s *scene) listen(h *lab.Host, a netip.Addr) net.Listener {
	s.Helper()
	ln, err := h.Listen("tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { ln.Close() })
	return ln
}

func (s *scene) mustOpen(table *nft.Table, p nft.Pinhole) {
	s.Helper()
	if err := table.Open(p); err != nil {
		s.Fatal(err)
	}
}

// transfer is a connection that passed: both ends of it.
type transfer struct {
	*scene
	dialled, accepted net.Conn
}

// pass dials from a host, accepts at the listener, and moves data both ways.
func (s *scene) pass(from *lab.Host, at netip.AddrPort, ln net.Listener) transfer {
	s.Helper()
	return s.passFrom(from, nil, at, ln)
}

func (s *scene) passFrom(from *lab.Host, local net.Addr, at netip.AddrPort, ln net.Listener) transfer {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	dialled, err := from.DialFrom(ctx, "tcp", local, at.String())
	if err != nil {
		s.Fatalf("dial %v from %s: %v", at, from.Name, err)
	}
	s.Cleanup(func() { dialled.Close() })
	ln.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second))
	accepted, err := ln.Accept()
	if err != nil {
		s.Fatalf("accept what dialled %v: %v", at, err)
	}
	s.Cleanup(func() { accepted.Close() })
	tr := transfer{s, dialled, accepted}
	tr.move()
	return tr
}

// move sends data both ways.
func (tr transfer) move() {
	tr.Helper()
	for _, dir := range []struct{ from, to net.Conn }{{tr.dialled, tr.accepted}, {tr.accepted, tr.dialled}} {
		const line = "a line of data\n"
		dir.from.SetDeadline(time.Now().Add(5 * time.Second))
		dir.to.SetDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.WriteString(dir.from, line); err != nil {
			tr.Fatalf("write: %v", err)
		}
		got := make([]byte, len(line))
		if _, err := io.ReadFull(dir.to, got); err != nil || string(got) != line {
			tr.Fatalf("read %q: %v", got, err)
		}
	}
}

// wantSource checks which address the accepting side sees. Port 0 is any.
func (tr transfer) wantSource(a netip.Addr, port uint16) {
	tr.Helper()
	got := addrOf(tr.accepted.RemoteAddr())
	if got.Addr() != a || port != 0 && got.Port() != port {
		tr.Errorf("data arrives from %v, want %v port %d", got, a, port)
	}
}

// refuse dials and wants a reset.
func (s *scene) refuse(from *lab.Host, at netip.AddrPort, why string) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", at.String())
	if err == nil {
		c.Close()
		s.Fatalf("%s: %s reached %v", why, from.Name, at)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		s.Fatalf("%s: %s got %v, want a refusal", why, from.Name, err)
	}
}

func (s *scene) list(table *nft.Table) []nft.Listed {
	s.Helper()
	l, err := table.List()
	if err != nil {
		s.Fatal(err)
	}
	return l
}

func (s *scene) wantOpen(table *nft.Table, n int) {
	s.Helper()
	if l := s.list(table); len(l) != n {
		s.Fatalf("%d pinholes in the kernel, want %d: %v", len(l), n, l)
	}
}

// until waits for a condition.
func (s *scene) until(what string, done func() bool) {
	s.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for tick := time.NewTicker(2 * time.Millisecond); !done(); <-tick.C {
		if time.Now().After(deadline) {
			s.Fatalf("waited in vain: %s", what)
		}
	}
}
