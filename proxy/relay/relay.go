// Package relay carries data between two connections in userspace, where the
// kernel cannot: TLS ends here, or one side is IPv4 and the other IPv6.
//
//	err := relay.Join(client, server, func() { … one direction has come to its end … })
//
// What is clear on both sides is spliced: its bytes stay in the kernel. Ends
// are kept honest. A FIN, or in TLS a close_notify, is passed on as such; TLS
// that stops without close_notify was truncated (RFC 8446 §6.1), and then both
// connections are reset, so that nobody takes a part for the whole.
//
// Be aware: Join knows nothing of timeouts but for what is left when one
// direction has ended. A connection that stands still stays until its TCP gives
// up or the caller cuts it.
package relay

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// End is one of the two connections that a relay joins. Join closes both.
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

// closeWrite says that nothing follows.
func (e End) closeWrite() error {
	if e.TLS == nil {
		return e.TCP.CloseWrite()
	}
	err := e.TLS.CloseWrite()
	_ = e.TCP.CloseWrite() // the close_notify has said it, and the peer may be gone by now
	return err
}

// lingers is how long a direction that has carried nothing may stay open when
// the other one, which has carried the data, is at its end.
const lingers = 10 * time.Second

// join is one running relay.
type join struct {
	ends    [2]End
	carried [2]atomic.Int64 // bytes, by the end that they came from
	first   func()

	mu    sync.Mutex // guards what follows
	ended [2]bool    // what came from an end came to its own end in order
	told  bool       // first has been called
	err   error      // what broke the relay
}

// Join carries bytes both ways until both directions have ended. first is
// called once, when one has. The error is what broke a direction in which data
// was carried, or the first of the two to end; both ends have been reset then.
func Join(a, b End, first func()) error {
	j := &join{ends: [2]End{a, b}, first: first}
	done := make(chan struct{})
	go func() {
		defer close(done)
		j.carry(1)
	}()
	j.carry(0)
	<-done
	_ = a.TCP.Close()
	_ = b.TCP.Close()
	return j.err
}

// carry is one direction: from an end to the other.
func (j *join) carry(from int) {
	src, dst := j.ends[from], j.ends[1-from]
	err := pour(dst, src, &j.carried[from])
	if err == nil {
		j.note(from) // before anybody learns of it, and may close in answer
		err = dst.closeWrite()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		j.broke(from, err)
		return
	}
	if !j.told && j.err == nil {
		j.told = true
		time.AfterFunc(lingers, func() { j.hurry(1 - from) })
		j.first()
	}
}

func (j *join) note(from int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended[from] = true
}

// broke ends both directions. Once one has ended in order, the other has
// nothing to say that anybody waits for, and peers close it as they like: then
// what is still under way to them is let through.
func (j *join) broke(from int, err error) {
	if j.err == nil && j.ended[1-from] && j.carried[from].Load() == 0 {
		return
	}
	if j.err == nil {
		j.err = err
	}
	j.ends[0].Cut()
	j.ends[1].Cut()
}

// hurry closes what a peer leaves open without using it.
func (j *join) hurry(from int) {
	if j.carried[from].Load() == 0 {
		_ = j.ends[from].TCP.SetReadDeadline(time.Now())
	}
}

// spliced is how much goes from socket to socket before it is counted.
const spliced = 4 << 20

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
