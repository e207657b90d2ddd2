package e2e

import (
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
)

// BenchmarkPASV is the time from PASV to its 227 through the gateway: the
// server's reply, a pinhole in the kernel, the rewritten line. Each set-up
// replaces the one before, so a closing is part of it too.
func BenchmarkPASV(b *testing.B) {
	l := labtest.New(b, lab.Options{})
	startFTPD(b, l)
	startGateway(b, l, "", unbounded)
	c := login(b, l.Client, gateway4)
	took := make([]time.Duration, 0, b.N)
	for b.Loop() {
		began := time.Now()
		if err := c.Must(2, "PASV"); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds()), "p99-ns")
}

// BenchmarkBulk downloads through a pinhole and through a plain router, in
// turn: the machine's moods hit both alike. The metric that counts is ratio,
// the median over the pairs of gateway to router: ask for several pairs, with
// -benchtime 8x.
func BenchmarkBulk(b *testing.B) {
	plain := labtest.New(b, lab.Options{Routed: true})
	startFTPD(b, plain)
	behind := labtest.New(b, lab.Options{})
	startFTPD(b, behind)
	startGateway(b, behind, "", unbounded)

	routed := login(b, plain.Client, "10.0.0.5:21")
	gated := login(b, behind.Client, gateway4)
	var ratios, rates []float64
	b.SetBytes(2 * bulk)
	for i := 0; b.Loop(); i++ {
		var forward, pinhole float64
		if i%2 == 0 {
			forward = downloadRate(b, routed)
			pinhole = downloadRate(b, gated)
		} else {
			pinhole = downloadRate(b, gated)
			forward = downloadRate(b, routed)
		}
		ratios, rates = append(ratios, pinhole/forward), append(rates, pinhole)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(rates), "pinhole-MB/s")
}

// unbounded is the configuration whose limits no benchmark reaches.
const unbounded = "[limits]\nsessions_per_client = 0\nnew_per_client = \"\"\n"

// bulk is the size of one download: seconds on a slow machine, and so long on
// a fast one that setting it up is nothing beside it.
const bulk = 1 << 30

// downloadRate is the MB/s of one download.
func downloadRate(b *testing.B, c *ftpc.Client) float64 {
	b.Helper()
	d := setUp(b, c, "PASV")
	if err := c.Send("RETR /zero-1G"); err != nil {
		b.Fatal(err)
	}
	conn, err := d.Open()
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	n, err := drain(conn)
	took := time.Since(began)
	if err != nil || n != bulk {
		b.Fatalf("got %d bytes (%v), want %d", n, err, bulk)
	}
	for _, class := range []int{1, 2} {
		if _, err := c.Expect(class); err != nil {
			b.Fatal(err)
		}
	}
	return float64(n) / 1e6 / took.Seconds()
}

// drain reads to the end in pieces big enough not to be what is measured.
func drain(conn net.Conn) (n int64, err error) {
	buf := make([]byte, 256<<10)
	for {
		m, err := conn.Read(buf)
		n += int64(m)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
