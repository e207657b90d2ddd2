package nft_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// BenchmarkOpen opens and closes pinholes one by one beside others that stay
// open. p50 and p99 are of opening alone; stopping the clock of the benchmark
// for each closing would cost more than what it measures.
func BenchmarkOpen(b *testing.B) {
	l := labtest.New(b, lab.Options{})
	for _, mode := range []struct {
		name   string
		source netip.AddrPort
	}{{"passive", netip.AddrPortFrom(v4.lan, 0)}, {"active", netip.AddrPortFrom(v4.lan, 20)}} {
		for _, others := range []int{0, 1_000, 10_000, 60_000} {
			b.Run(fmt.Sprintf("%s/beside=%d", mode.name, others), func(b *testing.B) {
				benchmarkOpen(b, l, others, mode.source)
			})
		}
	}
}

// BenchmarkOpenElsewhere opens each pinhole at an address and port where none has
// been, as to servers all over the Internet, against the same few again and again.
func BenchmarkOpenElsewhere(b *testing.B) {
	l := labtest.New(b, lab.Options{})
	for name, ports := range map[string]int{"few": 100, "new": 1 << 16} {
		b.Run(name, func(b *testing.B) {
			var table *nft.Table
			err := l.Gateway.Do(func() (err error) {
				table, err = nft.Open(nft.Config{Owner: true})
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
			defer table.Remove()
			p := nft.Pinhole{From: v4.client, To: netip.AddrPortFrom(v4.servers, 4000), Source: netip.AddrPortFrom(v4.lan, 0)}
			for i := 0; b.Loop(); i++ {
				n := i % ports
				p.At = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(n >> 8), byte(n)}), 40000)
				if err := table.Open(p); err != nil {
					b.Fatal(err)
				}
				if err := table.Close(p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func benchmarkOpen(b *testing.B, l *lab.Lab, others int, source netip.AddrPort) {
	var table *nft.Table
	err := l.Gateway.Do(func() (err error) {
		table, err = nft.Open(nft.Config{Owner: true})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	defer table.Remove()
	p := nft.Pinhole{To: netip.AddrPortFrom(v4.servers, 4000), Timeout: time.Hour,
		Source: netip.AddrPortFrom(v4.lan, 0), Comment: "files/42 passive"}
	for i := range others {
		p.From = netip.AddrFrom4([4]byte{100, 64, byte(i >> 8), byte(i)})
		p.At = netip.AddrPortFrom(v4.wan, 61000)
		if err := table.Open(p); err != nil {
			b.Fatal(err)
		}
	}
	p.From, p.Source = v4.client, source
	took := make([]time.Duration, 0, b.N)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.At = netip.AddrPortFrom(v4.wan, uint16(61000+i%4000))
		began := time.Now()
		if err := table.Open(p); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
		if err := table.Close(p); err != nil {
			b.Fatal(err)
		}
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}
