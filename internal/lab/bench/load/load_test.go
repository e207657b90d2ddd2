package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/pki"

	"golang.org/x/sys/unix"
)

// serve starts the small server on loopback.
func serve(t *testing.T) netip.AddrPort {
	t.Helper()
	return serveWith(t, &ftpd.Server{})
}

// serveTLS is serve for sessions with TLS alone, data included.
func serveTLS(t *testing.T, resumed bool) netip.AddrPort {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.Issue(pki.Request{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{c.TLS()}, SessionTicketsDisabled: !resumed}
	return serveWith(t, &ftpd.Server{TLS: config, RequireTLS: true, RequireResumption: resumed})
}

func serveWith(t *testing.T, server *ftpd.Server) netip.AddrPort {
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
	server.Files = files
	go func() { served <- server.Serve(ctx, ln) }()
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
		{"transfers held back", Job{Do: Transfers, Sessions: 2, Seconds: 0.2, Pace: 50}, func(o Outcome) bool { return o.Count >= 2 && o.Count <= 14 }},
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

func TestJobsWithTLS(t *testing.T) {
	server := serveTLS(t, true)
	for _, tt := range []struct {
		name string
		job  Job
	}{
		{"transfers", Job{Do: Transfers, Sessions: 2, Seconds: 0.02}},
		{"active transfers", Job{Do: Transfers, Active: true, Sessions: 2, Seconds: 0.02}},
		{"download", Job{Do: Bulk, Bytes: 4 << 20}},
		{"upload", Job{Do: Bulk, Up: true, Bytes: 4 << 20}},
		{"active upload", Job{Do: Bulk, Up: true, Active: true, Bytes: 4 << 20}},
		{"no-ops", Job{Do: Noops, Count: 3}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.job.Server = server
			if _, err := new(generator).run(tt.job, func() {}); err == nil {
				t.Error("a server that insists on TLS was content without")
			}
			tt.job.TLS = true
			o, err := new(generator).run(tt.job, func() {})
			if err != nil || o.Count == 0 || o.Bytes != tt.job.Bytes {
				t.Errorf("%+v (%v)", o, err)
			}
		})
	}
}

func TestTLSThatIsNotResumedIsNotMeasured(t *testing.T) {
	job := Job{Do: Bulk, TLS: true, Bytes: 4 << 20, Server: serveTLS(t, false)}
	if o, err := new(generator).run(job, func() {}); err == nil || !strings.Contains(err.Error(), "resume") {
		t.Errorf("%+v (%v), want a complaint", o, err)
	}
}

// A download that nobody reads stands: its data is not lost, and not all sent.
func TestStalledDownloadsStandUntilReleased(t *testing.T) {
	for name, job := range map[string]Job{"in clear": {Server: serve(t)}, "with TLS": {Server: serveTLS(t, true), TLS: true}} {
		t.Run(name, func(t *testing.T) {
			job.Do, job.Sessions, job.Bytes = Stall, 3, 4<<20
			var g generator
			if _, err := g.run(job, func() {}); err != nil || len(g.stalled) != 3 || len(g.held) != 3 {
				t.Fatalf("%d downloads in %d sessions (%v), want 3", len(g.stalled), len(g.held), err)
			}
			if n, err := drain(g.stalled[0], make([]byte, 4096)); err != nil || n != job.Bytes {
				t.Errorf("%d of %d bytes were still to come (%v)", n, job.Bytes, err)
			}
			g.release()
			if len(g.stalled) != 0 || len(g.held) != 0 {
				t.Errorf("%d downloads in %d sessions are left", len(g.stalled), len(g.held))
			}
		})
	}
}

func TestHeldSessionsGrowAndEnd(t *testing.T) {
	server := serve(t)
	var g generator
	for _, n := range []int{3, 40, 40} {
		if err := g.hold(Job{Server: server, Sessions: n}); err != nil || len(g.held) != n {
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
	s := &Session{stream: stream{fd: pair[0]}}
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
