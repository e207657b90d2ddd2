package load

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab/ftpd"

	"golang.org/x/sys/unix"
)

// serve starts the small server on loopback.
func serve(t *testing.T) netip.AddrPort {
	t.Helper()
	files := ftpd.NewTree()
	if err := files.Put(SmallName, make([]byte, SmallSize)); err != nil {
		t.Fatal(err)
	}
	if err := files.PutSink(SinkName); err != nil {
		t.Fatal(err)
	}
	if err := files.PutZeros(ZerosName(4<<20), 4<<20); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- (&ftpd.Server{Files: files}).Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return ln.Addr().(*net.TCPAddr).AddrPort()
}

func TestJobs(t *testing.T) {
	server := serve(t)
	for _, tt := range []struct {
		name string
		job  Job
		want func(Outcome) bool
	}{
		{"transfers", Job{Do: Transfers, Sessions: 4, Seconds: 0.02}, func(o Outcome) bool {
			return o.Count >= 4 && o.Reply.P50 > 0 && o.Done.P50 > o.Reply.P50 && o.Seconds >= 0.02
		}},
		{"active transfers", Job{Do: Transfers, Active: true, Sessions: 2, Seconds: 0.02}, func(o Outcome) bool { return o.Count >= 2 }},
		{"set-ups", Job{Do: Setups, Sessions: 3, Seconds: 0.02}, func(o Outcome) bool { return o.Count >= 3 }},
		{"download", Job{Do: Bulk, Bytes: 4 << 20}, func(o Outcome) bool { return o.Bytes == 4<<20 }},
		{"active upload", Job{Do: Bulk, Up: true, Active: true, Bytes: 4 << 20}, func(o Outcome) bool { return o.Bytes == 4<<20 }},
		{"held back", Job{Do: Bulk, Bytes: 4 << 20, Pace: 40 << 20}, func(o Outcome) bool { return o.Seconds > 0.09 }},
		{"probe", Job{Do: Probe, Seconds: 0.02}, func(o Outcome) bool { return o.Count > 0 && o.Count < 40 }},
		{"no-ops", Job{Do: Noops, Count: 20}, func(o Outcome) bool { return o.Count == 20 && o.Reply.P99 >= o.Reply.P50 }},
		{"rest", Job{Do: Rest, Seconds: 0.02}, func(o Outcome) bool { return o.Seconds >= 0.02 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.job.Server = server
			o, err := new(generator).run(tt.job, func() {})
			if err != nil || !tt.want(o) {
				t.Errorf("%+v (%v)", o, err)
			}
		})
	}
}

func TestHeldSessionsGrowAndEnd(t *testing.T) {
	server := serve(t)
	var g generator
	for _, n := range []int{3, 40, 40} {
		if err := g.hold(server, n); err != nil || len(g.held) != n {
			t.Fatalf("%d are held (%v), want %d", len(g.held), err, n)
		}
	}
	fd := g.held[0].fd
	if _, err := unix.Getpeername(fd); err != nil {
		t.Errorf("a held session is not connected: %v", err)
	}
	g.release()
	if _, err := unix.Getpeername(fd); err == nil {
		t.Error("a released session is still connected")
	}
}

func TestServeAnswersEveryJobAndSaysWhatFailed(t *testing.T) {
	jobs := `{"Do":"rest","Seconds":0.001}{"Do":"dance"}{"Do":"noops","Server":"127.0.0.1:1","Count":1}`
	out, in := io.Pipe()
	go func() { in.CloseWithError(Serve(strings.NewReader(jobs), in)) }()
	d := json.NewDecoder(out)
	for _, want := range []string{"", "no such job", "connection refused"} {
		var o Outcome
		if err := d.Decode(&o); err != nil {
			t.Fatal(err)
		}
		if (want == "") != (o.Error == "") || !strings.Contains(o.Error, want) {
			t.Errorf("got %q, want %q", o.Error, want)
		}
	}
	var o Outcome
	if err := d.Decode(&o); err != io.EOF {
		t.Errorf("after the last job: %+v (%v), want the end", o, err)
	}
}

func TestPassiveAddresses(t *testing.T) {
	for _, tt := range []struct{ line, want string }{
		{"227 Entering Passive Mode (10,0,0,5,4,1).", "10.0.0.5:1025"},
		{"227 Entering Passive Mode (10,0,0,5,255,255)", "10.0.0.5:65535"},
		{"227 =10,0,0,5,4,1", "10.0.0.5:1025"},
		{"227 Mode 2 of 3 (10,0,0,5,4,1)", "10.0.0.5:1025"},
		{"227 Entering Passive Mode (10,0,0,5,4)", ""},
		{"227 Entering Passive Mode", ""},
		{"425 No port.", ""},
	} {
		var s Session
		err := s.setPeer([]byte(tt.line))
		got := netip.AddrPortFrom(netip.AddrFrom4(s.peer.Addr), uint16(s.peer.Port)).String()
		if (err != nil) != (tt.want == "") || err == nil && got != tt.want {
			t.Errorf("%s: %s (%v), want %s", tt.line, got, err, tt.want)
		}
	}
}

func TestRepliesOfManyLinesArriveInPieces(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	s := &Session{fd: pair[0]}
	go func() {
		defer unix.Close(pair[1])
		for _, piece := range []string{"211-Feat", "ures:\r\n EPSV\r\n211 End\r", "\n200 Nothing", " done.\r\n"} {
			if err := writeAll(pair[1], []byte(piece)); err != nil {
				t.Error(err)
			}
		}
	}()
	for _, want := range []string{"211 End", "200 Nothing done."} {
		if got, err := s.reply(); err != nil || string(got) != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
	if _, err := s.reply(); err == nil {
		t.Error("a reply after the end")
	}
}
