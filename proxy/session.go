package proxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/audit"
)

// lingers is how long the client has to read the last word and to close.
const lingers = 2 * time.Second

// closing is how long a server has to end a session whose client is gone.
const closing = 10 * time.Second

// session is one control connection through the gateway, from accept to close.
type session struct {
	gateway *Server
	service *service
	id      uint64
	began   time.Time

	// The two connections, and their four ends by role. outside is the
	// address that the client dialled, inside the one that the server sees.
	clientConn      *wire
	serverConn      *upstream
	client, outside netip.AddrPort
	inside, server  netip.AddrPort
	wanted          netip.AddrPort // forward mode: the server that the client means

	clientTLS  *tls.Config       // from the first AUTH on, or from the beginning
	clientLeaf *x509.Certificate // that the client has shown; nil: none

	dialled atomic.Pointer[upstream] // serverConn, for who does not have the lock
	stuck   atomic.Int32             // how often in a row the clock found the lock taken
	readers atomic.Int32             // that have not ended
	guests  atomic.Int32             // the session itself and its relays: they count as one at the door
	seen    atomic.Uint32            // phase
	spoke   atomic.Int64             // lastLine, in nanoseconds since 1970
	name    atomic.Pointer[string]   // of the last USER, as it may be shown; nil: there was none
	killed  atomic.Bool              // an administrator has asked for its end

	unsettled atomic.Int32 // transfers that have ended and of which the ledger does not know all
	meter     meter        // of its data connections

	mu        sync.Mutex // guards what follows; held while a verdict is carried out
	turn      sync.Cond  // a client's line that waits may be judged again
	machine   *alg.Machine
	phase     phase
	since     time.Time // when the phase began
	lastLine  time.Time
	timer     *time.Timer
	pinholes  []*pinhole
	relays    []*relayed
	spoilt    []spoilt
	through   *through  // TLS that is not ours passes; nil: FTP does
	held      []byte    // lines for the client that go with the next write
	more      bool      // the next one is at hand
	transfers [4]int8   // data commands without their final reply, by alg.Direction
	transfer  time.Time // when the oldest of them began, or the one before it ended
	dataCame  bool      // a data connection came for one of them, and its pinhole is closed
	user      []byte    // the login that named the server, until the server has greeted
	asking    bool      // which server the client wants
	saidQuit  bool
	lastCode  int       // of the server's last reply
	endBy     time.Time // the daemon goes down and a running transfer may go on until then; zero: it does not
	ended     outcome   // "": not yet
	cause     error     // what went wrong, for the log
	lines     recorder  // its last ones
	notebook
}

// begin dials the server and starts the two readers; close is their end. They
// are goroutines of their own, so that what a session keeps for hours is two
// small stacks, and not the one that dialled.
func (s *session) begin() {
	defer s.notBegun()
	defer s.recovered()
	s.service.metrics.sessionBegan()
	if !s.gateway.Audit.Off() {
		s.gateway.Audit.Write(audit.SessionStart{Time: s.began, Who: s.who()})
	}
	if s.service.TLS.Implicit {
		s.mu.Lock()
		s.startTLS()
		s.mu.Unlock()
	}
	if s.needsServer() && !s.namedServer() || !s.connect() {
		return
	}
	s.mu.Lock()
	s.machine = alg.New(s.service.Machine(s.client.Addr(), s.server.Addr(), s.service.own))
	s.timer = time.AfterFunc(s.service.Timeouts.Greeting, s.checkTime)
	s.follow() // the daemon may be going down since the dial
	s.mu.Unlock()
	s.readers.Store(2)
	go s.readServer()
	go s.readClient()
}

// notBegun closes a session that has no readers to do so: no server, or a panic.
func (s *session) notBegun() {
	if s.readers.Load() == 0 && s.machine == nil {
		s.close()
	}
}

// readerEnded is the last thing that each reader does. The second one closes.
func (s *session) readerEnded() {
	if s.readers.Add(-1) == 0 {
		s.timer.Stop()
		s.close()
	}
}

// close gives back everything that the session holds, and accounts for it.
func (s *session) close() {
	_ = s.clientConn.Close()
	if s.serverConn != nil {
		_ = s.serverConn.Close()
	}
	s.mu.Lock()
	s.unfinished()
	if s.service.Cut {
		s.cutFlows()
	}
	s.mu.Unlock()
	s.account()
	s.leaveDoor()
	s.gateway.remove(s)
}

// leaveDoor gives up the place of the session when nothing of it is left.
func (s *session) leaveDoor() {
	if s.guests.Add(-1) == 0 {
		s.gateway.door.leave(s.service, s.client.Addr())
	}
}

// namedServer lets the client say where it wants to go.
func (s *session) namedServer() bool {
	err := s.askServer()
	s.mu.Lock()
	s.asking = false
	how := clientClosed
	switch {
	case err == nil:
		s.mu.Unlock()
		return true
	case s.killed.Load():
		how = killed
	case !s.endBy.IsZero():
		how = drained
	case errors.Is(err, os.ErrDeadlineExceeded):
		how = timedOut
	}
	s.phase, s.ended, s.cause = over, how, err
	s.mu.Unlock()
	switch how {
	case killed:
		s.farewell(killedWord)
	case drained:
		s.farewell(goingDown)
	case timedOut:
		s.farewell(timeoutWord(errLogin))
	}
	return false
}

// connect dials a backend. A client for which there is none is told so.
func (s *session) connect() bool {
	conn, err := s.dialServer(context.Background())
	if err == nil {
		s.serverConn = conn
		s.dialled.Store(conn)
		s.inside, s.server = plain(conn.LocalAddr()), plain(conn.RemoteAddr())
		return true
	}
	s.mu.Lock()
	s.phase, s.ended, s.cause = over, noBackend, err
	s.recordOwn([]byte(noBackendWord(err)), time.Now())
	if s.killed.Load() {
		s.ended, s.cause = killed, nil
	}
	s.mu.Unlock()
	_ = s.clientConn.SetReadDeadline(time.Now().Add(s.service.Timeouts.Login))
	if s.service.TLS.Implicit && s.shake() != nil {
		return false
	}
	s.farewell(noBackendWord(err))
	s.discard()
	return false
}

// end is the one way to end a session: it says a last word to the client,
// drops the server and closes the pinholes. The caller holds mu.
func (s *session) end(how outcome, why error, word string) {
	if s.phase == over {
		return
	}
	if s.killed.Load() && how != panicked { // what follows from it is not the cause
		how, why = killed, nil
	}
	s.setPhase(over)
	s.ended, s.cause = how, why
	s.turn.Broadcast()
	defer s.leave(word) // also when a defect breaks off the closing
	s.closePinholes()   // before the last word, for which the client may let us wait
}

// leave parts with both peers, with a last word for the client.
func (s *session) leave(word string) {
	if s.through.sealedTo() {
		word = "" // it would fall into TLS that is not ours
	}
	if s.clientConn.speakable() {
		s.recordOwn([]byte(word), time.Now())
	}
	if word = string(s.held) + word; word == "" && (s.ended == quit || s.ended == addressGone) {
		_ = s.clientConn.Close() // it has the 221 and has nothing more to say, or is not there any more
	} else {
		s.farewell(word)
	}
	s.held = nil
	_ = s.serverConn.Close()
}

// farewell says the last word to the client. Whoever reads from the client
// goes on until it has closed too, or lingers is over: closing with something
// unread would reset the connection under the word.
func (s *session) farewell(word string) {
	if word != "" && s.clientConn.speakable() {
		_ = s.clientConn.SetWriteDeadline(time.Now().Add(lingers))
		_, _ = s.clientConn.Write([]byte(word))
	}
	_ = s.clientConn.CloseWrite()
	_ = s.clientConn.SetReadDeadline(time.Now().Add(lingers))
}

// setPhase moves the session on, and its clock with it.
func (s *session) setPhase(p phase) {
	s.phase, s.since = p, time.Now()
	s.seen.Store(uint32(p))
	if p != over {
		left, _ := s.timeLeft(s.since)
		s.timer.Reset(left)
	}
}

// closePinholes closes all that are open. The kernel goes on with transfers
// that have begun.
func (s *session) closePinholes() {
	for len(s.pinholes) > 0 {
		s.closePinhole(s.pinholes[0], outcomeClosed)
	}
}

// recovered ends the session after a panic; the others go on.
func (s *session) recovered() {
	p := recover()
	if p == nil {
		return
	}
	s.gateway.Logger.Error("a defect in ftpgate ended a session; please report it", "sid", s.id, "panic", p, "stack", string(debug.Stack()))
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { _ = recover() }() // the same defect may stand in the way of the end
	s.end(panicked, nil, "421 Internal error of the gateway: try again\r\n")
	s.closePinholes() // if it was the end that the defect broke off
}

// plain is an address without the IPv6 clothes of IPv4, and without a zone,
// with which no prefix would contain it.
func plain(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
}
