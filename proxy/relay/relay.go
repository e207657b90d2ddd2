// Package relay carries data between two connections in userspace, where the
// kernel cannot: TLS ends here, or one side is IPv4 and the other IPv6.
//
//	r := relay.New(client, server, watcher) // who says what matters, and is told how it ended
//	r.Run()
//
// What is clear on both sides is spliced: its bytes stay in the kernel. Ends
// are kept honest. A FIN, or in TLS a close_notify, is passed on as such; TLS
// that stops without close_notify was truncated (RFC 8446 §6.1), and then both
// connections are reset, so that nobody takes a part for the whole.
//
// Be aware: a relay knows of no timeout but for what is left when the direction
// that matters has ended. A connection that stands still stays until its TCP
// gives up or the caller, who sees that Carried does not grow, cuts it.
package relay

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// End is one of the two connections that a relay joins. Run closes both.
type End struct {
	TCP *net.TCPConn
	TLS *tls.Conn // over ForTLS(TCP), its handshake done; nil: in clear
}

// ErrTruncated says that TLS stopped without a close_notify.
var ErrTruncated = errors.New("TLS was cut off: no close_notify")

// ForTLS is a connection for TLS to run on. crypto/tls takes a FIN between two
// records for an end in order; here it is ErrTruncated.
func ForTLS(conn *net.TCPConn) net.Conn { return untruncated{conn} }

type untruncated struct{ *net.TCPConn }

func (u untruncated) Read(b []byte) (int, error) {
	n, err := u.TCPConn.Read(b)
	if errors.Is(err, io.EOF) {
		err = ErrTruncated
	}
	return n, err
}

// Cut resets the connection, so that what came before the reset does not pass for all.
func (e End) Cut() {
	_ = e.TCP.SetLinger(0)
	_ = e.TCP.Close()
}

// Close ends the connection in order, whatever is still unread.
func (e End) Close() {
	if e.TLS != nil {
		_ = e.TLS.Close() // says close_notify
	}
	_ = e.TCP.Close()
}

// Finish says that nothing follows and lets the peer close, for a while. What
// it still sends is dropped: a reset would keep it from reading why elsewhere.
func (e End) Finish(within time.Duration) {
	_ = e.TCP.SetDeadline(time.Now().Add(within))
	_ = e.closeWrite()
	_, _ = io.Copy(io.Discard, e.TCP)
	_ = e.TCP.Close()
}

// closeWrite says that nothing follows.
func (e End) closeWrite() error {
	if e.TLS == nil {
		return e.TCP.CloseWrite()
	}
	err := e.TLS.CloseWrite()
	_ = e.TCP.CloseWrite() // the close_notify has said it, and the peer may be gone by now
	return err
}

// lingers is how long a direction that carries nothing may stay open when the
// other one, which has carried the data, is at its end.
const lingers = 10 * time.Second

// Side is one of the two ends, as the source of a direction.
type Side int

// The two sides, in the order of New.
const (
	Client Side = iota
	Server
)

// Watcher is who knows what a relay is for.
type Watcher interface {
	// Carries reports whether the data of a transfer comes from a side, where
	// no byte has said so yet.
	Carries(Side) bool
	// Ended says, once for each side, that what came from there is at its end:
	// all of it, or up to where err broke it.
	Ended(side Side, err error)
}

// A Relay joins two connections.
type Relay struct {
	ends    [2]End
	carried [2]atomic.Int64 // bytes, by the side that they came from
	watcher Watcher
}

// New returns a Relay that does nothing yet.
func New(client, server End, w Watcher) *Relay {
	return &Relay{ends: [2]End{client, server}, watcher: w}
}

// Run carries bytes both ways until both directions have ended.
func (r *Relay) Run() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.carry(Server)
	}()
	r.carry(Client)
	<-done
	_ = r.ends[Client].TCP.Close()
	_ = r.ends[Server].TCP.Close()
}

// Carried returns how many bytes have been carried, either way.
func (r *Relay) Carried() int64 { return r.carried[Client].Load() + r.carried[Server].Load() }

// CarriedFrom returns how many bytes that came from a side have been carried: of
// TLS what is within.
func (r *Relay) CarriedFrom(side Side) int64 { return r.carried[side].Load() }

// carry is one direction: from a side to the other.
func (r *Relay) carry(from Side) {
	defer func() { // a defect ends a transfer, not the process
		if p := recover(); p != nil {
			r.watcher.Ended(from, fmt.Errorf("%w: %v", errPanic, p))
			r.ends[Client].Cut()
			r.ends[Server].Cut()
		}
	}()
	src, dst := r.ends[from], r.ends[1-from]
	err := pour(dst, src, &r.carried[from])
	if err == nil {
		err = dst.closeWrite()
	}
	// What matters is broken with both ends. What does not is nobody's loss:
	// peers close the idle direction of a transfer as they like.
	matters := r.carried[from].Load() > 0 || r.watcher.Carries(from)
	switch {
	case err != nil && matters:
		r.watcher.Ended(from, err)
		r.ends[Client].Cut()
		r.ends[Server].Cut()
		return
	case matters:
		time.AfterFunc(lingers, func() { r.hurry(1 - from) })
	}
	r.watcher.Ended(from, err)
}

var errPanic = errors.New("a defect of the relay")

// hurry closes what a peer leaves open without using it.
func (r *Relay) hurry(from Side) {
	if r.carried[from].Load() == 0 {
		_ = r.ends[from].TCP.SetReadDeadline(time.Now())
	}
}

// spliced is how much goes from socket to socket before it is counted.
const spliced = 512 << 10

// pour copies until the source says that it is at its end.
func pour(dst, src End, carried *atomic.Int64) error {
	if src.TLS != nil || dst.TLS != nil {
		return pourTLS(dst, src, carried)
	}
	for {
		n, err := dst.TCP.ReadFrom(&io.LimitedReader{R: src.TCP, N: spliced})
		carried.Add(n)
		if err != nil || n == 0 {
			return err
		}
	}
}

// A direction in which nothing comes keeps a small buffer; the other gets one of a whole record.
const (
	recordSize  = 16 << 10
	quietBuffer = 512
)

var buffers = sync.Pool{New: func() any { return new([recordSize]byte) }}

// pourTLS is pour where at least one of the two is TLS. io.EOF is the end in
// order: of TLS, a close_notify.
func pourTLS(dst, src End, carried *atomic.Int64) error {
	var reader io.Reader = src.TCP
	var writer io.Writer = dst.TCP
	if src.TLS != nil {
		reader = src.TLS
	}
	if dst.TLS != nil {
		writer = dst.TLS
	}
	buf := make([]byte, quietBuffer)
	for {
		n, err := reader.Read(buf)
		if n > 0 {
			if _, err := writer.Write(buf[:n]); err != nil {
				return err
			}
			if carried.Add(int64(n)); len(buf) == quietBuffer {
				whole := buffers.Get().(*[recordSize]byte)
				defer buffers.Put(whole)
				buf = whole[:]
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
