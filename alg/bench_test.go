package alg

import (
	"net/netip"
	"testing"
)

// bench is a machine past its login, and the lines that the benchmarks send.
type bench struct {
	m *Machine

	noop, ok, pasv, entering, port, retr, began, done []byte
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	p := newPlayer(Config{Passive: true, Active: true})
	if _, err := p.event("login"); err != nil {
		tb.Fatal(err)
	}
	return &bench{
		m:    p.m,
		noop: []byte("CWD /pub/some/where\r\n"), ok: []byte("250 Directory successfully changed.\r\n"),
		pasv: []byte("PASV\r\n"), entering: []byte("227 Entering Passive Mode (10,0,0,5,195,80).\r\n"),
		port: []byte("PORT 198,51,100,7,8,1\r\n"), retr: []byte("RETR a\r\n"),
		began: []byte("150 Here it comes.\r\n"), done: []byte("226 Transfer complete.\r\n"),
	}
}

var (
	passiveAt = netip.MustParseAddrPort("198.51.100.1:61001")
	activeAt  = netip.MustParseAddrPort("10.0.0.1:20001")
)

// plain sends a command that the gateway has nothing to do with, and its reply.
func (b *bench) plain() bool {
	return b.m.Client(b.noop).ToServer != nil && b.m.Server(b.ok).ToClient != nil
}

// passive sends a PASV, rewrites its 227 and forgets the pinhole by the next one.
func (b *bench) passive() bool {
	return b.m.Client(b.pasv).ToServer != nil && b.m.Server(b.entering).Open.ID != 0 && b.m.Opened(passiveAt).ToClient != nil
}

// active sends a PORT and its reply.
func (b *bench) active() bool {
	return b.m.Client(b.port).Open.ID != 0 && b.m.Opened(activeAt).ToServer != nil && b.m.Server(b.ok).ToClient != nil
}

// transfer sends a data command behind a PASV and its replies.
func (b *bench) transfer() bool {
	return b.passive() && b.m.Client(b.retr).ToServer != nil && b.m.Server(b.began).ToClient != nil && len(b.m.Server(b.done).Close) == 1
}

// TestAllocations: a line costs no garbage, be it plain or rewritten.
func TestAllocations(t *testing.T) {
	b := newBench(t)
	for name, do := range map[string]func() bool{
		"a plain line each way": b.plain, "a 227": b.passive, "a PORT": b.active, "a whole transfer": b.transfer,
	} {
		if !do() {
			t.Fatalf("%s did not do what it should", name)
		}
		if n := testing.AllocsPerRun(1000, func() { do() }); n != 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func BenchmarkPlainLine(b *testing.B) {
	p := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		p.plain()
	}
	// One iteration is a line each way.
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2, "ns/line")
}

func BenchmarkPASV(b *testing.B) {
	p := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		p.passive()
	}
}

func BenchmarkPORT(b *testing.B) {
	p := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		p.active()
	}
}

func BenchmarkEPRT(b *testing.B) {
	p := newBench(b)
	p.port = []byte("EPRT |1|198.51.100.7|2049|\r\n")
	b.ReportAllocs()
	for b.Loop() {
		p.active()
	}
}

func BenchmarkTransfer(b *testing.B) {
	p := newBench(b)
	b.ReportAllocs()
	for b.Loop() {
		p.transfer()
	}
}

func BenchmarkLines(b *testing.B) {
	lines := NewLines(MaxCommand)
	data := []byte("CWD /pub/some/where\r\n")
	b.ReportAllocs()
	for b.Loop() {
		lines.Filled(copy(lines.Space(), data))
		if lines.Next() == nil {
			b.Fatal("no line")
		}
	}
}
