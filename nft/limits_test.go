package nft_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ftpgate/nft"
)

func TestCloseAll(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		const n = 450 // more than one batch
		for _, a := range both {
			ln := s.listen(s.Server, a.servers)
			for i := range n {
				s.mustOpen(table, a.passive(uint16(61000+i), ln))
			}
			s.mustOpen(table, a.active(20000, s.listen(s.Client, a.client)))
		}
		if got, err := table.CloseAll(); err != nil || got != 2*(n+1) {
			s.Errorf("closed %d, %v; want %d", got, err, 2*(n+1))
		}
		s.wantOpen(table, 0)
		s.refuse(s.Client, netip.AddrPortFrom(v4.wan, 61000), "closed")
	})
}

func TestConcurrentUse(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		const workers, rounds = 8, 100
		errs := make(chan error, workers*rounds*2)
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				for i := range rounds {
					p := v4.passive(uint16(61000+w*rounds+i), ln)
					errs <- table.Open(p)
					if i%2 == 0 {
						errs <- table.Close(p)
					}
				}
			})
		}
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				s.Error(err)
			}
		}
		s.wantOpen(table, workers*rounds/2)
	})
}

func TestFull(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		p := v4.passive(1, s.listen(s.Server, v4.servers))
		var err error
		n := 0
		for ; err == nil && n < 1<<18; n++ {
			from := netip.AddrFrom4([4]byte{100, 64, byte(n >> 16), byte(n >> 8)})
			p.From, p.At = from, netip.AddrPortFrom(v4.wan, uint16(61000+n&0xff))
			err = table.Open(p)
		}
		if !errors.Is(err, nft.ErrFull) || n < 1<<17 {
			s.Fatalf("after %d pinholes: %v, want ErrFull", n, err)
		}
		s.until("a closed one makes room", func() bool {
			last := p
			last.From = netip.MustParseAddr("100.64.0.0")
			last.At = netip.AddrPortFrom(v4.wan, 61000)
			return table.Close(last) == nil && table.Open(p) == nil
		})
	})
}

func TestWhatIsNoPinhole(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		good := nft.Pinhole{From: v4.client, At: netip.AddrPortFrom(v4.wan, 1),
			To: netip.AddrPortFrom(v4.servers, 2), Source: netip.AddrPortFrom(v4.lan, 0)}
		for name, spoil := range map[string]func(*nft.Pinhole){
			"no client":          func(p *nft.Pinhole) { p.From = netip.Addr{} },
			"any client":         func(p *nft.Pinhole) { p.From = netip.IPv4Unspecified() },
			"no port to dial":    func(p *nft.Pinhole) { p.At = netip.AddrPortFrom(v4.wan, 0) },
			"no port to reach":   func(p *nft.Pinhole) { p.To = netip.AddrPortFrom(v4.servers, 0) },
			"a port of nobody":   func(p *nft.Pinhole) { p.Source = netip.AddrPortFrom(netip.Addr{}, 20) },
			"any source":         func(p *nft.Pinhole) { p.Source = netip.AddrPortFrom(netip.IPv4Unspecified(), 0) },
			"two families":       func(p *nft.Pinhole) { p.To = netip.AddrPortFrom(v6.servers, 2) },
			"a negative timeout": func(p *nft.Pinhole) { p.Timeout = -time.Second },
		} {
			p := good
			spoil(&p)
			if err := table.Open(p); err == nil || errors.Is(err, nft.ErrGone) {
				s.Errorf("%s: %v", name, err)
			}
		}
		mapped := good
		mapped.From = netip.MustParseAddr(fmt.Sprintf("::ffff:%v", v4.client))
		s.mustOpen(table, mapped)
		if l := s.list(table); len(l) != 1 || l[0].From != v4.client {
			s.Errorf("an IPv4 address mapped into IPv6 became %v", l)
		}
	})
}
