package conntrack_test

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"ftpgate/nft/conntrack"
)

func TestCut(t *testing.T) {
	eachFamily(t, func(s *scene) {
		c, ln := s.dial(), s.listen(s.Server, s.server)
		p, beside := s.passive(61000, ln), s.passive(61001, ln)
		dialled, accepted := s.through(s.Client, p, ln)
		otherDialled, otherAccepted := s.through(s.Client, beside, ln)
		f, err := c.Get(conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At})
		if err != nil {
			s.Fatal(err)
		}
		if err := c.Cut(f.Orig, f.ID+1); err != nil { // as when another has taken its place
			s.Fatal(err)
		}
		if _, err := c.Get(f.Orig); err != nil {
			s.Fatalf("another flow than was to be cut: %v", err)
		}
		if err := c.Cut(f.Orig, 0); err == nil {
			s.Error("a flow without an id is cut")
		}
		for range 2 { // the second finds nothing
			if err := c.Cut(f.Orig, f.ID); err != nil {
				s.Error(err)
			}
		}
		if _, err := c.Get(f.Orig); !errors.Is(err, conntrack.ErrNotFound) {
			s.Errorf("get a cut flow: %v", err)
		}
		s.until("who sends is reset", func() bool {
			_, err := dialled.Write([]byte("more"))
			return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
		})
		s.until("who answers is reset", func() bool {
			_, err := accepted.Write([]byte("more"))
			return errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.EPIPE)
		})
		s.send(1000, otherDialled, otherAccepted)
	})
}
