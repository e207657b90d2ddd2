package nft_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"

	"ftpgate/nft/conntrack"
)

// reset ends a connection at once, so that its ports are free.
func (tr transfer) reset() {
	tr.Helper()
	tr.dialled.(*net.TCPConn).SetLinger(0)
	tr.dialled.Close()
	if _, err := tr.accepted.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
		tr.Fatalf("read after a reset: %v", err)
	}
	tr.accepted.Close()
}

// forget deletes all marked flows of a family.
func (s *scene) forget(a family) {
	s.Helper()
	err := s.Gateway.Do(func() error {
		c, err := conntrack.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		flows, err := c.Dump(0x400, 0x400)
		for _, f := range flows {
			if f.Orig.Src.Addr().Is4() == a.client.Is4() {
				err = errors.Join(err, c.Delete(f.Orig))
			}
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}

// wantMarked checks what the marked flows of the gateway dialled.
func (s *scene) wantMarked(want ...netip.AddrPort) {
	s.Helper()
	var got []netip.AddrPort
	err := s.Gateway.Do(func() error {
		c, err := conntrack.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		flows, err := c.Dump(0x400, 0x400)
		for _, f := range flows {
			got = append(got, f.Orig.Dst)
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	slices.SortFunc(got, netip.AddrPort.Compare)
	slices.SortFunc(want, netip.AddrPort.Compare)
	if !slices.Equal(got, want) {
		s.Errorf("marked flows to %v, want %v", got, want)
	}
}
