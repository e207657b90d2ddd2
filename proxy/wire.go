package proxy

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// wire is one of a session's two control connections: TCP, and TLS on it from
// StartTLS or AUTH on, until that ends. Read belongs to the one goroutine that
// reads; all else to the holder of the session's lock.
type wire struct {
	*net.TCPConn
	sealed *tls.Conn                // what is written goes through it; nil: in clear
	opened atomic.Pointer[tls.Conn] // what is read comes through it; nil: in clear
	ending atomic.Bool              // we have said close_notify, and go on in clear when the peer has
	ready  atomic.Bool              // the handshake is done
	under  *records                 // of the last TLS
	clear  []byte                   // read, and to be handed out before anything else
}

// seal puts TLS on the connection. The handshake is still to come.
func (w *wire) seal(make func(net.Conn, *tls.Config) *tls.Conn, config *tls.Config) {
	w.ready.Store(false)
	w.ending.Store(false)
	w.under = &records{Conn: w.TCPConn, ending: &w.ending}
	w.sealed = make(w.under, config)
	w.opened.Store(w.sealed)
}

// unseal ends TLS in the direction of the peer. What comes from there is clear
// when it has said close_notify too, or simply is.
func (w *wire) unseal() {
	w.ending.Store(true)
	_ = w.sealed.CloseWrite()
	_ = w.SetWriteDeadline(time.Time{}) // crypto/tls lets no write follow
	w.sealed = nil
}

// handshake makes the TLS that seal has put on.
func (w *wire) handshake() error {
	err := w.opened.Load().Handshake()
	w.ready.Store(err == nil)
	return err
}

// Read reads what the peer said, whatever it is wrapped in.
func (w *wire) Read(b []byte) (int, error) {
	if n := copy(b, w.clear); n > 0 {
		w.clear = w.clear[n:]
		return n, nil
	}
	sealed := w.opened.Load()
	if sealed == nil {
		return w.TCPConn.Read(b)
	}
	n, err := sealed.Read(b)
	if err == nil || !w.ending.Load() || !errors.Is(err, io.EOF) && len(w.under.beyond) == 0 {
		return n, err
	}
	w.clear = w.under.beyond
	w.opened.Store(nil)
	w.ending.Store(false)
	if n > 0 {
		return n, nil
	}
	return w.Read(b)
}

func (w *wire) Write(b []byte) (int, error) {
	if w.sealed != nil {
		return w.sealed.Write(b)
	}
	return w.TCPConn.Write(b)
}

// CloseWrite says that nothing follows.
func (w *wire) CloseWrite() error {
	if w.sealed != nil && w.ready.Load() {
		_ = w.sealed.CloseWrite()
	}
	return w.TCPConn.CloseWrite()
}

// speakable reports whether a write can be understood: in the middle of a
// handshake it would wait for the peer.
func (w *wire) speakable() bool { return w.sealed == nil || w.ready.Load() }

// records hands a TLS connection the bytes of one record at a time, and not one
// byte of what follows. So what a peer sends in clear behind its close_notify, in the
// same segment perhaps, is still there to be read (RFC 4217 §5).
type records struct {
	net.Conn
	ending *atomic.Bool
	header [5]byte // of the record that is being read
	have   int     // bytes of header
	left   int     // bytes of the record behind it
	beyond []byte  // what was read and is no TLS any more
}

// Record types of TLS, and the highest of them (RFC 8446 §5.1).
const firstRecordType, lastRecordType = 20, 24

// Read never crosses the end of a record. Once we have ended TLS, bytes that
// begin no record are its end: some clients go on without a close_notify.
func (r *records) Read(b []byte) (int, error) {
	if r.left > 0 {
		n, err := r.Conn.Read(b[:min(len(b), r.left)])
		r.left -= n
		return n, err
	}
	n, err := r.Conn.Read(b[:min(len(b), len(r.header)-r.have)])
	if n > 0 && r.have == 0 && r.ending.Load() && (b[0] < firstRecordType || b[0] > lastRecordType) {
		r.beyond = append(r.beyond, b[:n]...)
		return 0, io.EOF
	}
	copy(r.header[r.have:], b[:n])
	if r.have += n; r.have == len(r.header) {
		r.have, r.left = 0, int(r.header[3])<<8|int(r.header[4])
	}
	return n, err
}
