package relay

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab/pki"
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
