package nft_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

// flow is a transfer's entry in conntrack.
func (tr transfer) flow(at netip.AddrPort) (f conntrack.Flow) {
	tr.Helper()
	err := tr.Gateway.Do(func() error {
		c, err := conntrack.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		f, err = c.Get(conntrack.Tuple{Src: addrOf(tr.dialled.LocalAddr()), Dst: at})
		return err
	})
	if err != nil {
		tr.Fatal(err)
	}
	return f
}

// wantReset sends until the sender is told that there is no connection.
func (tr transfer) wantReset(from net.Conn) {
	tr.Helper()
	from.SetDeadline(time.Now().Add(10 * time.Second))
	tr.until("who sends is reset", func() bool {
		_, err := from.Write([]byte("more"))
		return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
	})
}

// wantNothing wants no byte to have come. Whoever only receives may hear nothing.
func (tr transfer) wantNothing(to net.Conn) {
	tr.Helper()
	to.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if got, err := io.ReadAll(to); len(got) != 0 || err == nil {
		tr.Errorf("read %q, %v from a connection that was cut", got, err)
	}
}

func TestCut(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		in, abroad := s.listen(s.Server, a.servers), s.listen(s.Client, a.client)
		for _, masquerade := range []bool{false, true} {
			if masquerade {
				s.masquerade()
				defer s.nft("delete table inet admin")
			}
			reverse, forward := a.passive(61000, in), a.forwardPassive(abroad)
			for _, upload := range []bool{true, false} {
				s.mustOpen(table, reverse)
				s.cut(table, s.pass(s.Client, reverse.At, in), reverse.At, upload)
				s.mustOpen(table, forward)
				s.cut(table, s.pass(s.Server, forward.At, abroad), forward.At, upload)
			}
		}
	})
}

// cut ends a transfer in the middle of an upload or of a download.
func (s *scene) cut(table *nft.Table, tr transfer, at netip.AddrPort, upload bool) {
	s.Helper()
	f := tr.flow(at)
	if err := table.Cut(f.Orig, f.ID+1); err != nil { // as when another has taken its place
		s.Fatal(err)
	}
	tr.move()
	for range 2 { // the second finds nothing
		if err := table.Cut(f.Orig, f.ID); err != nil {
			s.Fatal(err)
		}
	}
	from, to := tr.dialled, tr.accepted
	if !upload {
		from, to = to, from
	}
	tr.wantReset(from)
	tr.wantNothing(to)
}

// What was cut does not stand in the way of the next, from the same port or
// another, nor of what runs beside it.
func TestCutOneOfSeveral(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		s.masquerade()
		defer s.nft("delete table inet admin")
		abroad := s.listen(s.Client, a.client)
		p := a.forwardPassive(abroad)
		from := &net.TCPAddr{IP: a.servers.AsSlice(), Port: 40000}
		s.mustOpen(table, p)
		beside := s.pass(s.Server, p.At, abroad)
		s.mustOpen(table, p)
		tr := s.passFrom(s.Server, from, p.At, abroad)
		f := tr.flow(p.At)
		if err := table.Cut(f.Orig, f.ID); err != nil {
			s.Fatal(err)
		}
		tr.wantReset(tr.dialled)
		tr.accepted.(*net.TCPConn).SetLinger(0)
		tr.accepted.Close()
		beside.move()
		s.mustOpen(table, p)
		s.passFrom(s.Server, from, p.At, abroad).move()
		beside.move()
		if err := table.Intact(); err != nil {
			s.Error(err)
		}
	})
}

func TestWhatCannotBeCut(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		at := netip.AddrPortFrom(v4.wan, 1)
		for name, test := range map[string]struct {
			orig conntrack.Tuple
			id   uint32
		}{
			"nothing":           {conntrack.Tuple{}, 1},
			"one without an id": {conntrack.Tuple{Src: at, Dst: at}, 0},
			"of two families":   {conntrack.Tuple{Src: at, Dst: netip.AddrPortFrom(v6.wan, 1)}, 1},
		} {
			if err := table.Cut(test.orig, test.id); err == nil {
				s.Errorf("%s was cut", name)
			}
		}
		if err := table.Release(); err != nil {
			s.Fatal(err)
		}
		if err := table.Cut(conntrack.Tuple{Src: at, Dst: at}, 1); !errors.Is(err, nft.ErrClosed) {
			s.Errorf("cut by a released table: %v", err)
		}
	})
}
