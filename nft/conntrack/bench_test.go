package conntrack_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

// bench is a lab in which many transfers go through pinholes.
type bench struct {
	*lab.Lab
	*testing.B
	table *nft.Table
	asks  *conntrack.Conn
	ln    net.Listener
	made  int
}

func newBench(b *testing.B) *bench {
	s := &bench{Lab: labtest.New(b, lab.Options{}), B: b}
	s.must(s.Gateway.Do(conntrack.EnableAccounting))
	s.must(s.Gateway.Do(func() (err error) {
		s.table, err = nft.Open(nft.Config{Owner: true})
		return err
	}))
	b.Cleanup(func() { s.table.Release() })
	s.must(s.Gateway.Do(func() (err error) {
		s.asks, err = conntrack.Dial()
		return err
	}))
	b.Cleanup(func() { s.asks.Close() })
	var err error
	s.ln, err = s.Server.Listen("tcp", netip.AddrPortFrom(lab.ServerV4, 0).String())
	s.must(err)
	b.Cleanup(func() { s.ln.Close() })
	return s
}

func (s *bench) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// transfer is one through a pinhole, of a few bytes. The server closes first, so
// that the flow stays for a minute.
func (s *bench) transfer() {
	p := nft.Pinhole{From: lab.ClientV4, At: netip.AddrPortFrom(lab.WanV4, uint16(30000+s.made%30000)),
		To: addrOf(s.ln.Addr()), Source: netip.AddrPortFrom(lab.LanV4, 0)}
	s.made++
	s.must(s.table.Open(p))
	dialled, err := s.Client.Dial(s.Context(), "tcp", p.At.String())
	s.must(err)
	accepted, err := s.ln.Accept()
	s.must(err)
	accepted.Write([]byte("a few bytes"))
	accepted.Close()
	dialled.Read(make([]byte, 100))
	dialled.Read(make([]byte, 100)) // the end
	dialled.Close()
	s.table.Used(p)
}

// BenchmarkFollow follows transfers by their events, as the daemon does, and says
// what each costs the thread that follows. What sweeps cost beside that
// BenchmarkSweep says.
func BenchmarkFollow(b *testing.B) {
	s := newBench(b)
	var l *conntrack.Listener
	s.must(s.Gateway.Do(func() (err error) {
		l, err = conntrack.Listen(conntrack.ListenConfig{Mark: mark, Brief: true, Reap: true, Sweep: time.Hour})
		return err
	}))
	ctx, stop := context.WithCancel(context.Background())
	seen, thread, done := make(chan struct{}, 1<<16), make(chan int, 1), make(chan error)
	go func() {
		runtime.LockOSThread()
		thread <- unix.Gettid()
		done <- l.Run(ctx, func(conntrack.Event) { seen <- struct{}{} })
	}()
	tid := <-thread
	before := threadTime(b, tid)
	n := 0
	for b.Loop() {
		s.transfer()
		<-seen
		n++
	}
	b.ReportMetric(float64((threadTime(b, tid)-before).Nanoseconds())/float64(n), "cpu-ns/flow")
	stop()
	s.must(<-done)
	if l.Resyncs() != 0 {
		b.Errorf("events were lost %d times", l.Resyncs())
	}
}

// threadTime is what a thread of this process has used of a processor.
func threadTime(b *testing.B, tid int) time.Duration {
	b.Helper()
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^tid<<3|6), &ts); err != nil { // clock_getcpuclockid(3)
		b.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// BenchmarkSweep reads all marked flows, of which there are some. The kernel walks
// its whole table for that, which all network namespaces share.
func BenchmarkSweep(b *testing.B) {
	s := newBench(b)
	for _, flows := range []int{0, 1_000, 10_000} {
		b.Run(fmt.Sprintf("flows=%d", flows), func(b *testing.B) {
			for s.made < flows {
				s.transfer()
			}
			b.ReportAllocs()
			for b.Loop() {
				if got, err := s.asks.Dump(mark, mark); err != nil || len(got) != flows {
					b.Fatalf("%d flows, want %d: %v", len(got), flows, err)
				}
			}
		})
	}
}
