package nft_test

import (
	"errors"
	"io"
	"net"

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
