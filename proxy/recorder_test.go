package proxy

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

// Whatever is said, the record is the last of it, and stays within its bound.
func TestRecorderKeepsTheLast(t *testing.T) {
	var r recorder
	var all []api.Line
	random := rand.New(rand.NewPCG(1, 2))
	now := time.UnixMilli(1767225600000)
	for i := range 2000 {
		now = now.Add(time.Duration(random.IntN(1<<random.IntN(30))) * time.Millisecond)
		e := entry{from: speaker(1 + random.IntN(3)), text: fmt.Append(nil, i, strings.Repeat("x", random.IntN(200)))}
		switch random.IntN(4) {
		case 0:
			e.sent = fmt.Append(nil, "sent ", i)
		case 1:
			e.kept = true
		case 2:
			e = entry{from: fromServer, gap: 1 + random.IntN(1000)}
		}
		r.add(now.UnixMilli(), e)
		all = append(all, e.line(now))
		if n := cap(r.entries); n > maxEntries {
			t.Fatalf("it takes %d bytes", n)
		}
		got := r.snapshot()
		if len(got) < 3 && len(got) < len(all) {
			t.Fatalf("of %d lines it has %d", len(all), len(got))
		}
		if diff := cmp.Diff(all[len(all)-len(got):], got); diff != "" {
			t.Fatalf("behind %d lines (-want +got):\n%s", len(all), diff)
		}
	}
}

// A clock that is set back makes no times out of order.
func TestRecorderWhenTheClockGoesBack(t *testing.T) {
	var r recorder
	for i, now := range []int64{5000, 9000, 7000, 9500} {
		r.add(now, entry{from: fromClient, text: fmt.Append(nil, i)})
	}
	var got []int64
	for _, l := range r.snapshot() {
		got = append(got, l.Time.UnixMilli())
	}
	if diff := cmp.Diff([]int64{5000, 9000, 9000, 9500}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// written is a session that needs no connections to keep its lines.
func written() (s *session, command, reply []byte, judged [2]alg.Verdict) {
	command, reply = []byte("CWD /pub/some/where\r\n"), []byte("250 Directory successfully changed.\r\n")
	judged = [2]alg.Verdict{{Verb: alg.CWD, Number: 1, ToServer: command}, {Code: 250, Answers: 1, Answered: alg.CWD, ToClient: reply}}
	return &session{gateway: &Server{}, lastLine: time.Now()}, command, reply, judged
}

// A line costs no garbage once the record has its size.
func TestRecordAllocatesNothing(t *testing.T) {
	s, command, reply, judged := written()
	rewritten := alg.Verdict{Code: 227, ToClient: []byte("227 Entering Passive Mode (198,51,100,1,238,73)\r\n")}
	line := []byte("227 Entering Passive Mode (10,0,0,5,195,80)\r\n")
	say := func() {
		s.hear(fromClient, command)
		s.record(&judged[0], &judged[0])
		s.hear(fromServer, reply)
		s.record(&judged[1], &judged[1])
		s.hear(fromServer, line)
		s.record(&rewritten, &rewritten)
	}
	for range 100 {
		say()
	}
	if n := testing.AllocsPerRun(1000, say); n != 0 {
		t.Errorf("three lines allocate %v times", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	s, command, reply, judged := written()
	b.ReportAllocs()
	for b.Loop() {
		s.hear(fromClient, command)
		s.record(&judged[0], &judged[0])
		s.hear(fromServer, reply)
		s.record(&judged[1], &judged[1])
	}
	// One iteration is a line each way.
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/2, "ns/line")
}
