package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab/pki"

	"golang.org/x/sys/unix"
)

const patience = 10 * time.Second

// far is a peer's end of a relayed connection.
type far struct {
	net.Conn
	tcp *net.TCPConn
}

// rig is a relay with its two peers.
type rig struct {
	t              *testing.T
	client, server far
	halves         [2]*net.TCPConn // the relay's own
	relay          *Relay
	done           chan struct{}

	mu     sync.Mutex // guards what follows
	source Side       // where the data of the transfer comes from
	ends   map[Side]error
}

func (r *rig) Carries(from Side) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return from == r.source
}

func (r *rig) Ended(from Side, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, twice := r.ends[from]; twice {
		r.t.Errorf("side %d ended twice", from)
	}
	r.ends[from] = err
}

// carries says which way the transfer goes.
func (r *rig) carries(from Side) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.source = from
}

// newRig starts a relay. With TLS the far end is a TLS client, as an FTP client
// is, or a TLS server.
func newRig(t *testing.T, clientTLS, serverTLS bool) *rig {
	t.Helper()
	r := &rig{t: t, done: make(chan struct{}), source: noSide, ends: map[Side]error{}}
	certificate, trust := credentials(t)
	fc, nc := pair(t)
	fs, ns := pair(t)
	r.client, r.server, r.halves = far{fc, fc}, far{fs, fs}, [2]*net.TCPConn{nc, ns}
	near := [2]End{{TCP: nc}, {TCP: ns}}
	if clientTLS {
		conn := tls.Client(ForTLS(fc), trust)
		near[0].TLS, r.client.Conn = tls.Server(ForTLS(nc), certificate), conn
		shake(t, conn, near[0].TLS)
	}
	if serverTLS {
		conn := tls.Server(ForTLS(fs), certificate)
		near[1].TLS, r.server.Conn = tls.Client(ForTLS(ns), trust), conn
		shake(t, conn, near[1].TLS)
	}
	r.relay = New(near[0], near[1], r)
	go func() {
		defer close(r.done)
		r.relay.Run()
	}()
	return r
}

// noSide: the transfer's command has not been seen.
const noSide Side = -1

func credentials(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	c, err := ca.Issue(pki.Request{Addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c.TLS()}}, &tls.Config{RootCAs: ca.Pool(), ServerName: "127.0.0.1"}
}

func shake(t *testing.T, a, b *tls.Conn) {
	t.Helper()
	done := make(chan error, 1)
	go func() { done <- b.Handshake() }()
	if err := errors.Join(a.Handshake(), <-done); err != nil {
		t.Fatal(err)
	}
}

func pair(t *testing.T) (far, near *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	for _, c := range []net.Conn{a, b} {
		_ = c.SetDeadline(time.Now().Add(patience))
	}
	_ = b.SetDeadline(time.Time{})
	return a.(*net.TCPConn), b.(*net.TCPConn)
}

// finish says that nothing follows, as a peer does that knows its manners.
func (f far) finish(t *testing.T) {
	t.Helper()
	if conn, ok := f.Conn.(*tls.Conn); ok {
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.tcp.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

// wantEnd waits for the end of the relay, and says how the data's direction
// must have ended.
func (r *rig) wantEnd(source Side, want error) {
	r.t.Helper()
	select {
	case <-r.done:
	case <-time.After(patience):
		r.t.Fatal("the relay does not end")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err, told := r.ends[source]; !told || len(r.ends) != 2 || !errors.Is(err, want) {
		r.t.Fatalf("the data ended with %v (of both %v), want %v", err, r.ends, want)
	}
}

// everyKind runs a test with TLS on neither side, on either and on both.
func everyKind(t *testing.T, f func(t *testing.T, r *rig)) {
	for name, kind := range map[string][2]bool{
		"clear": {}, "TLS with the client": {true, false}, "TLS with the server": {false, true}, "TLS with both": {true, true},
	} {
		t.Run(name, func(t *testing.T) { f(t, newRig(t, kind[0], kind[1])) })
	}
}

func content(size int) []byte {
	b := make([]byte, size)
	_, _ = rand.Read(b)
	return b
}

func TestBytesAndEndsArrive(t *testing.T) {
	for name, upload := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) {
			everyKind(t, func(t *testing.T, r *rig) {
				from, to, side := r.server, r.client, Server
				if upload {
					from, to, side = to, from, Client
				}
				sent := content(9<<20 + 7) // more than is spliced at once
				go func() {
					if _, err := from.Write(sent); err != nil {
						t.Error(err)
					}
					from.finish(t)
				}()
				got, err := io.ReadAll(to)
				if err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("%d of %d bytes arrive, %v", len(got), len(sent), err)
				}
				to.finish(t)
				if _, err := io.ReadAll(from); err != nil {
					t.Errorf("the other direction ended with %v", err)
				}
				r.wantEnd(side, nil)
				if n := r.relay.Carried(); n != int64(len(sent)) {
					t.Errorf("%d bytes carried, want %d", n, len(sent))
				}
			})
		})
	}
}

// A half that is closed says nothing about the other one.
func TestHalfClose(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		r.client.finish(t)
		if _, err := io.ReadAll(r.server); err != nil {
			t.Fatal(err)
		}
		if _, err := r.server.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		r.server.finish(t)
		if got, err := io.ReadAll(r.client); err != nil || string(got) != "late" {
			t.Fatalf("the client reads %q, %v", got, err)
		}
		r.wantEnd(Server, nil)
	})
}

// TLS without close_notify was truncated: the other side must not take what
// has arrived for all.
func TestTruncation(t *testing.T) {
	for name, upload := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, true)
			from, to, side := r.server, r.client, Server
			if upload {
				from, to, side = to, from, Client
			}
			if _, err := from.Write([]byte("half of i")); err != nil {
				t.Fatal(err)
			}
			_ = from.tcp.CloseWrite() // and no close_notify
			if got, err := io.ReadAll(to); err == nil {
				t.Fatalf("%q passed for all", got)
			}
			r.wantEnd(side, ErrTruncated)
		})
	}
}

// In clear, as with the kernel, a reset stays a reset.
func TestReset(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		if _, err := r.client.Write([]byte("half of i")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.server, make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		_ = r.client.tcp.SetLinger(0)
		_ = r.client.tcp.Close()
		if _, err := io.ReadAll(r.server); err == nil {
			t.Fatal("a reset arrives as an end in order")
		}
		r.wantEnd(Client, unix.ECONNRESET)
	})
}

// After the download's end clients close as they like. That breaks nothing.
func TestRudeEndAfterTheData(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		if _, err := r.server.Write([]byte("all of it")); err != nil {
			t.Fatal(err)
		}
		r.server.finish(t)
		if got, err := io.ReadAll(r.client); err != nil || string(got) != "all of it" {
			t.Fatalf("the client reads %q, %v", got, err)
		}
		_ = r.client.tcp.SetLinger(0)
		_ = r.client.tcp.Close()
		r.wantEnd(Server, nil)
	})
}

// A peer that leaves its side open is not waited for without end.
func TestSideLeftOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, true, true)
	r.carries(Server)
	r.server.finish(t)
	if _, err := io.ReadAll(r.client); err != nil {
		t.Fatal(err)
	}
	_ = r.client.tcp.SetDeadline(time.Now().Add(2 * lingers))
	select {
	case <-r.done:
	case <-time.After(2 * lingers):
		t.Fatal("the relay waits for a client that says nothing")
	}
	r.wantEnd(Server, nil)
}

// A client that closes its idle side at once still waits for its download. That
// side's end says nothing of the data, however the data ends.
func TestIdleSideEndsFirst(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		r.carries(Server)
		r.client.finish(t)
		if _, err := io.ReadAll(r.server); err != nil {
			t.Fatal(err)
		}
		_ = r.server.tcp.SetLinger(0)
		_ = r.server.tcp.Close() // and not one byte
		if _, err := io.ReadAll(r.client); err == nil {
			t.Error("what the server broke off ends in order")
		}
		r.wantEnd(Server, unix.ECONNRESET)
	})
}

// Nothing hurries a server whose client has nothing more to say.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, false, false)
	r.carries(Server)
	r.client.finish(t)
	_ = r.client.tcp.SetDeadline(time.Now().Add(3 * lingers))
	_ = r.server.tcp.SetDeadline(time.Now().Add(3 * lingers))
	time.AfterFunc(lingers+time.Second, func() {
		_, _ = r.server.Write([]byte("late"))
		_ = r.server.tcp.CloseWrite()
	})
	if got, err := io.ReadAll(r.client); err != nil || string(got) != "late" {
		t.Fatalf("the client reads %q, %v", got, err)
	}
	r.wantEnd(Server, nil)
}

func TestCut(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		r.carries(Server)
		End{TCP: r.halves[0]}.Cut()
		End{TCP: r.halves[1]}.Cut()
		if _, err := io.ReadAll(r.server); err == nil {
			t.Error("the server sees an end in order")
		}
		r.wantEnd(Server, net.ErrClosed)
	})
}
