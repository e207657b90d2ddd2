package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/report"
	"ftpgate/internal/lab/bench/stand"
	"ftpgate/nft"
)

// pinholes is about ftpgate's table alone: what opening costs beside many that
// are open, and whether all that was opened and closed is so in the kernel.
func (r *round) pinholes() error {
	l, err := lab.New(lab.Options{NoIPv6: true})
	if err != nil {
		return err
	}
	defer l.Close()
	var table *nft.Table
	err = l.Gateway.Do(func() (err error) {
		table, err = nft.Open(nft.Config{Owner: true})
		return err
	})
	if err != nil {
		return err
	}
	opening := r.opening(table)
	if opening == nil {
		opening = r.churn(l, table)
	}
	return errors.Join(opening, table.Remove())
}

func (r *round) noteAlone(measure, unit string, value float64) {
	r.report.Add(report.Result{Round: r.number, Kind: stand.FTPGate, Measure: measure, Unit: unit, Value: value})
}

// pinhole returns the nth of two hundred million.
func pinhole(n int) nft.Pinhole {
	const ports = 4000
	host := n / ports
	return nft.Pinhole{
		From:    netip.AddrFrom4([4]byte{100, 64, byte(host >> 8), byte(host)}),
		At:      netip.AddrPortFrom(lab.WanV4, uint16(61000+n%ports)),
		To:      netip.AddrPortFrom(lab.ServerV4, 4000),
		Source:  netip.AddrPortFrom(lab.LanV4, 0),
		Timeout: time.Hour,
		Comment: "files/42 passive",
	}
}

// opening opens and closes pinholes beside others. Only opening is timed.
func (r *round) opening(table *nft.Table) error {
	const samples = 4000
	open := 0
	for _, beside := range r.o.pinholes {
		for ; open < beside; open++ {
			if err := table.Open(pinhole(open)); err != nil {
				return err
			}
		}
		took := make([]time.Duration, 0, samples)
		for i := range samples {
			p := pinhole(1_000_000 + i)
			began := time.Now()
			if err := table.Open(p); err != nil {
				return err
			}
			took = append(took, time.Since(began))
			if err := table.Close(p); err != nil {
				return err
			}
		}
		slices.Sort(took)
		name := fmt.Sprintf("pinholes.open.%d", beside)
		r.noteAlone(name+".p50", "µs", took[samples/2].Seconds()*1e6)
		r.noteAlone(name+".p99", "µs", took[samples*99/100].Seconds()*1e6)
	}
	for i := range open {
		if err := table.Close(pinhole(i)); err != nil {
			return err
		}
	}
	return nil
}

// Churning: so many at once, each with so many open.
const (
	churners = 4
	standing = 500
)

// churn opens and closes as fast as it goes, and then compares the kernel's
// list with what must be open.
func (r *round) churn(l *lab.Lab, table *nft.Table) error {
	began := time.Now()
	end := began.Add(time.Duration(r.o.seconds * float64(time.Second)))
	var counts [churners]int
	var errs [churners]error
	var working sync.WaitGroup
	for w := range churners {
		working.Go(func() { counts[w], errs[w] = churnUntil(end, table, w) })
	}
	working.Wait()
	elapsed := time.Since(began)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}

	total, want := 0, map[hole]bool{}
	for w, n := range counts {
		total += n
		for i := max(0, n-standing); i < n; i++ {
			want[holeOf(churned(w, i))] = true
		}
	}
	lost, leftover, err := compare(l, want)
	if err != nil {
		return err
	}
	for w, n := range counts {
		for i := max(0, n-standing); i < n; i++ {
			if err := table.Close(churned(w, i)); err != nil {
				return err
			}
		}
	}
	_, never, err := compare(l, nil)
	r.noteAlone("pinholes.churn.rate", "1/s", float64(total)/elapsed.Seconds())
	r.noteAlone("pinholes.churn.lost", "pinholes", float64(lost))
	r.noteAlone("pinholes.churn.leftover", "pinholes", float64(leftover+never))
	return err
}

// hole is what tells pinholes apart.
type hole struct {
	from netip.Addr
	at   netip.AddrPort
}

func holeOf(p nft.Pinhole) hole { return hole{p.From, p.At} }

// compare counts what the kernel lacks and what it has too much.
func compare(l *lab.Lab, want map[hole]bool) (lost, leftover int, err error) {
	var listed []nft.Listed
	err = l.Gateway.Do(func() (err error) {
		listed, err = nft.Pinholes(nft.DefaultName)
		return err
	})
	found := 0
	for _, p := range listed {
		if want[holeOf(p.Pinhole)] {
			found++
		}
	}
	return len(want) - found, len(listed) - found, err
}

// churned is the pinhole that a worker opens as its ith.
func churned(worker, i int) nft.Pinhole { return pinhole(worker*10_000_000 + i) }

// churnUntil leaves the last ones open.
func churnUntil(end time.Time, table *nft.Table, worker int) (n int, err error) {
	for ; time.Now().Before(end); n++ {
		if err := table.Open(churned(worker, n)); err != nil {
			return n, err
		}
		if n < standing {
			continue
		}
		if err := table.Close(churned(worker, n-standing)); err != nil {
			return n, err
		}
	}
	return n, nil
}
