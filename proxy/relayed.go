package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ftpgate/alg"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/audit"
	"ftpgate/proxy/cause"
	"ftpgate/proxy/relay"

	"golang.org/x/sys/unix"
)

// relayed is a data connection that this process carries. Its first half came
// through a pinhole; the second one we dial.
type relayed struct {
	pinhole *pinhole
	session *session

	mu            sync.Mutex // guards what follows
	halves        []*net.TCPConn
	isCut         bool
	first, second audit.Flow
	reply         conntrack.Tuple // of first, as our socket has it

	joined   atomic.Pointer[relay.Relay] // both halves are there, with their TLS
	isOver   atomic.Bool
	began    time.Time
	arrived  uint64     // bytes from both sides, as the kernel counts them; like movedAt, seen by the sweep
	movedAt  time.Time  // when that was last another number
	counting sync.Mutex // guards told
	told     [2]uint64  // payload that the meters know of, by the directions of flow
	taken    [2]uint64  // payload that records of transfers have; belongs to the ledger
	ended    [2]bool    // what came from a side is at its end; belongs to the session's lock
	seen     struct {   // by the upkeep of relays
		carried int64
		at      time.Time
	}
}

// dataBreak is what kept the relay from carrying a connection to its end.
type dataBreak struct {
	text   string
	answer cause.Answer // of who was dialled
}

// hold adds a half, unless the whole has been cut.
func (r *relayed) hold(conn *net.TCPConn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isCut {
		relay.End{TCP: conn}.Cut()
		return false
	}
	r.halves = append(r.halves, conn)
	return true
}

// cut resets both halves, now and when they come.
func (r *relayed) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isCut = true
	for _, conn := range r.halves {
		relay.End{TCP: conn}.Cut()
	}
}

// needsRelay reports whether the kernel cannot carry a data connection, and
// whether the service lets us do it.
func (s *session) needsRelay(o alg.Open) (relayed bool, why alg.Reason) {
	relayed = o.Private || s.serverConn.config != nil || s.client.Addr().Is4() != s.server.Addr().Is4() ||
		s.server.Addr().IsLoopback() && !s.client.Addr().IsLoopback()
	if relayed && s.service.Data == DataKernel {
		return true, alg.NoPinhole
	}
	return relayed || s.service.Data == DataRelay, alg.NoReason
}

// takeRelayed takes a connection that dialled a relay port: the pinhole that
// let it in says whose it is.
func (s *Server) takeRelayed(conn *net.TCPConn) {
	at, err := s.Original(conn)
	if err != nil {
		s.Logger.Debug("a connection to the relay came through no pinhole", "client", conn.RemoteAddr(), "error", err)
	}
	p := s.pinholes.claim(plain(conn.RemoteAddr()).Addr(), at)
	if p == nil {
		relay.End{TCP: conn}.Cut()
		return
	}
	p.session.relay(p, conn)
}

// relay carries a data connection from its first half to its end, which may be
// after that of the session: a transfer that runs is not cut.
func (s *session) relay(p *pinhole, first *net.TCPConn) {
	r := &relayed{pinhole: p, session: s, halves: []*net.TCPConn{first}}
	if !s.addRelayed(r) {
		relay.End{TCP: first}.Cut()
		return
	}
	defer s.removeRelayed(r)
	defer r.cut() // nothing, after an end in order: the halves are closed
	defer s.recovered()
	if err := r.carry(first); err != nil {
		s.dataBroke(r, err)
	}
}

func (s *session) addRelayed(r *relayed) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.phase == over || !slices.Contains(s.pinholes, r.pinhole) {
		return false
	}
	r.pinhole.taken, r.began = true, time.Now()
	r.pinhole.carrier.Store(r)
	s.relays = append(s.relays, r)
	s.guests.Add(1)
	s.gateway.relays.add(r)
	s.gateway.running.Add(1) // the session still counts, so nobody has stopped waiting
	s.service.metrics.relays.Inc()
	return true
}

// removeRelayed forgets a relayed connection. The last one of a session that is
// over gives back what the session held.
func (s *session) removeRelayed(r *relayed) {
	s.mu.Lock()
	s.relays = slices.DeleteFunc(s.relays, func(o *relayed) bool { return o == r })
	s.turn.Broadcast()
	s.mu.Unlock()
	r.account()
	r.isOver.Store(true)
	s.service.metrics.relays.Dec()
	s.gateway.relays.remove(r)
	s.leaveDoor()
	s.gateway.running.Done()
}

// carry dials the second half, makes the TLS of both, and joins them.
func (r *relayed) carry(first *net.TCPConn) error {
	s, p := r.session, r.pinhole
	r.met(first, nil)
	second, err := s.dialData(p)
	if err != nil {
		p.broke.Store(&dataBreak{err.Error(), answerOf(err)})
		return fmt.Errorf("dial %v for the data: %w", p.to, err)
	}
	r.met(first, second)
	if !r.hold(second) {
		return errCut
	}
	client, server := relay.End{TCP: first}, relay.End{TCP: second}
	if !p.mode.Passive() {
		client, server = server, client
	}
	within := time.Now().Add(s.service.Timeouts.TransferStart)
	backend := make(chan error, 1)
	go func() {
		err := errCut
		defer func() { backend <- err }() // also when a defect breaks it off
		defer s.recovered()
		err = s.backendData(&server, within)
	}()
	if err := s.clientData(&client, p, within); err != nil {
		s.dataBroke(r, err)
		<-backend // servers take a handshake that breaks for the end of the session
		server.Close()
		client.Finish(closing)
		return nil
	}
	if err := <-backend; err != nil {
		return err
	}
	joined := relay.New(client, server, r)
	r.joined.Store(joined)
	joined.Run()
	return nil
}

var (
	errCut        = errors.New("cut: its transfer was over")
	errNotResumed = errors.New("the TLS of the data connection is not that of the control connection (tls.require_resumption)")
	errOther      = errors.New("the data connection has another client certificate than the control connection")
)

// dialData dials whom the second half of a data connection belongs to, from the
// address that this side knows: RFC 959 §3.2 wants port 20 for an active one.
func (s *session) dialData(p *pinhole) (*net.TCPConn, error) {
	from := netip.AddrPortFrom(s.inside.Addr(), 0)
	if !p.mode.Passive() {
		from = netip.AddrPortFrom(s.outside.Addr(), activePort)
	}
	conn, err := s.dialFrom(from, p.to)
	if from.Port() != 0 && (errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.EADDRINUSE)) { // an earlier one between the same two ports lingers, or somebody else has port 20
		conn, err = s.dialFrom(netip.AddrPortFrom(from.Addr(), 0), p.to)
	}
	return conn, err
}

func (s *session) dialFrom(from, to netip.AddrPort) (*net.TCPConn, error) {
	d := net.Dialer{
		Timeout: s.service.Timeouts.Connect, KeepAlive: -1, LocalAddr: net.TCPAddrFromAddrPort(from),
		Control: func(_, _ string, raw syscall.RawConn) error {
			return control(raw, func(fd int) error {
				return errors.Join(tuneData(fd), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1),
					unix.SetsockoptInt(fd, unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1))
			})
		},
	}
	conn, err := d.DialContext(context.Background(), "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// clientData makes the TLS of the client's half. The FTP client is its TLS
// client whoever dialled (RFC 4217 §7), and what it resumes shows that it is ours.
func (s *session) clientData(e *relay.End, p *pinhole, within time.Time) error {
	if !p.private {
		return nil
	}
	conn := tls.Server(relay.ForTLS(e.TCP), s.clientTLS)
	if err := handshake(conn, within); err != nil {
		s.service.metrics.shook(clientData, err)
		return &clientTLSError{alg.DataTLS, err}
	}
	e.TLS = conn
	err := s.sameClient(conn.ConnectionState())
	s.service.metrics.shook(clientData, err)
	if err != nil {
		return &clientTLSError{alg.NotResumed, err}
	}
	return nil
}

// sameClient says why the TLS of a data connection may be somebody else's than
// that of the control connection, or nil. A ticket of it is proof: see forSession.
func (s *session) sameClient(data tls.ConnectionState) error {
	if data.DidResume {
		return nil
	}
	if s.service.TLS.RequireResumption {
		return errNotResumed
	}
	if s.clientLeaf != nil && !(len(data.PeerCertificates) > 0 && s.clientLeaf.Equal(data.PeerCertificates[0])) {
		return errOther
	}
	return nil
}

// backendData makes the TLS of the server's half, which resumes that of the
// control connection: servers refuse others.
func (s *session) backendData(e *relay.End, within time.Time) error {
	if s.serverConn.config == nil {
		return nil
	}
	conn := tls.Client(relay.ForTLS(e.TCP), s.serverConn.config)
	err := handshake(conn, within)
	s.service.metrics.shook(backendData, err)
	if err != nil {
		return fmt.Errorf("TLS with the server on the data connection: %w", err)
	}
	e.TLS = conn
	return nil
}

func handshake(conn *tls.Conn, within time.Time) error {
	ctx, cancel := context.WithDeadline(context.Background(), within)
	defer cancel()
	return conn.HandshakeContext(ctx)
}

// clientTLSError is what the client did wrong with the TLS of a data connection.
type clientTLSError struct {
	why alg.Reason
	error
}

func (e *clientTLSError) Unwrap() error { return e.error }
