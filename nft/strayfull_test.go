package nft_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// A scanner fills the set of strays. Nothing but that depends on it.
func TestFullOfStrays(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		p := v4.passive(61000, ln)
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another client")
		const room = 8192
		s.scan(table, ln, room) // one more than there is room for
		full := netip.AddrPortFrom(v4.wan, firstScanned+room-1)
		s.noted(table, p.At, v4.client2)
		s.noted(table, full)
		s.noted(table, netip.AddrPortFrom(v4.wan, firstScanned+room-2), v4.client2)

		s.refuse(s.Client2, p.At, "another client, again")
		s.refuse(s.Client2, full, "another client")
		s.pass(s.Client, p.At, ln)
		p = v4.passive(61001, ln)
		s.mustOpen(table, p)
		s.pass(s.Client, p.At, ln)
		s.noted(table, p.At)
		s.noted(table, full)
	})
}

// An answer that took long to get is used again, but not for long.
func TestStraysAreSoonKnown(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		if err := table.FillStrays(a.client, netip.AddrPortFrom(a.wan, 1), 4000); err != nil {
			s.Fatal(err)
		}
		p := a.passive(61000, s.listen(s.Server, a.servers))
		s.mustOpen(table, p)
		s.noted(table, p.At)
		s.refuse(s.Client2, p.At, "another client")
		began := time.Now()
		for tick := time.NewTicker(time.Millisecond); len(s.strays(table, p.At)) == 0; <-tick.C {
			if time.Since(began) > 5*time.Second {
				s.Fatal("a SYN stays unknown")
			}
		}
		s.noted(table, p.At, a.client2)
	})
}

const firstScanned = 20000

// scan has a client dial so many ports that are leased to another.
func (s *scene) scan(table *nft.Table, ln net.Listener, ports int) {
	s.Helper()
	for i := range ports {
		p := v4.passive(uint16(firstScanned+i), ln)
		s.mustOpen(table, p)
		s.refuse(s.Client2, p.At, "another client")
	}
}

// Pinholes come and go while strays are read, and neither waits or fails.
func TestStraysBesideOpening(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		if err := table.FillStrays(v4.client, netip.AddrPortFrom(v4.wan, 1), 8000); err != nil {
			s.Fatal(err)
		}
		ln := s.listen(s.Server, v4.servers)
		s.mustOpen(table, v4.passive(61000, ln))
		s.refuse(s.Client2, netip.AddrPortFrom(v4.wan, 61000), "another client")
		stop, done, opened := make(chan struct{}), make(chan error, 1), 0
		go func() {
			for i := uint16(0); ; i++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				p := v4.passive(61001+i%1000, ln)
				if err := errors.Join(table.Open(p), table.Close(p)); err != nil {
					done <- err
					return
				}
				opened++
			}
		}()
		for range 20 {
			s.noted(table, netip.AddrPortFrom(v4.wan, 61000), v4.client2)
		}
		close(stop)
		if err := <-done; err != nil {
			s.Error(err)
		}
		if opened < 20 {
			s.Errorf("%d pinholes opened while strays were read 20 times", opened)
		}
	})
}

// BenchmarkStrays asks for strays in a set that is full, each time anew.
func BenchmarkStrays(b *testing.B) {
	l := labtest.New(b, lab.Options{})
	var table *nft.Table
	err := l.Gateway.Do(func() (err error) {
		table, err = nft.Open(nft.Config{Owner: true})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	defer table.Remove()
	if err := table.FillStrays(v4.client, netip.AddrPortFrom(v4.wan, 20000), 8192); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		table.ForgetStrays()
		strays, err := table.Strays(netip.AddrPortFrom(v4.wan, 20000))
		if err != nil || len(strays) != 1 {
			b.Fatal(strays, err)
		}
	}
}
