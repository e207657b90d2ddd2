package relay

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
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
	first          atomic.Bool     // one direction has come to its end
	done           chan error
}

// newRig starts a relay. With TLS the far end is a TLS client, as an FTP client
// is, or a TLS server.
func newRig(t *testing.T, clientTLS, serverTLS bool) *rig {
	t.Helper()
	r := &rig{t: t, done: make(chan error, 1)}
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
	go func() { r.done <- Join(near[0], near[1], func() { r.first.Store(true) }) }()
	return r
}

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

func (r *rig) wantErr(want error) {
	r.t.Helper()
	select {
	case err := <-r.done:
		if !errors.Is(err, want) {
			r.t.Fatalf("the relay ended with %v, want %v", err, want)
		}
	case <-time.After(patience):
		r.t.Fatal("the relay does not end")
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
				from, to := r.server, r.client
				if upload {
					from, to = to, from
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
				r.wantErr(nil)
				if !r.first.Load() {
					t.Error("the first end was not told")
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
		r.wantErr(nil)
	})
}

// TLS without close_notify was truncated: the other side must not take what
// has arrived for all.
func TestTruncation(t *testing.T) {
	for name, upload := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, true)
			from, to := r.server, r.client
			if upload {
				from, to = to, from
			}
			if _, err := from.Write([]byte("half of i")); err != nil {
				t.Fatal(err)
			}
			_ = from.tcp.CloseWrite() // and no close_notify
			if got, err := io.ReadAll(to); err == nil {
				t.Fatalf("%q passed for all", got)
			}
			r.wantErr(ErrTruncated)
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
		r.wantErr(unix.ECONNRESET)
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
		r.wantErr(nil)
	})
}

// A peer that leaves its side open is not waited for without end.
func TestSideLeftOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, true, true)
	r.server.finish(t)
	if _, err := io.ReadAll(r.client); err != nil {
		t.Fatal(err)
	}
	_ = r.client.tcp.SetDeadline(time.Now().Add(2 * lingers))
	select {
	case err := <-r.done:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(2 * lingers):
		t.Fatal("the relay waits for a client that says nothing")
	}
}

func TestCut(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		End{TCP: r.halves[0]}.Cut()
		End{TCP: r.halves[1]}.Cut()
		if _, err := io.ReadAll(r.server); err == nil {
			t.Error("the server sees an end in order")
		}
		r.wantErr(net.ErrClosed)
	})
}
