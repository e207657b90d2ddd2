package proxy

import (
	"net"
	"time"

	"ftpgate/proxy/audit"
)

// serve takes a connection from its accept to its end.
func (s *Server) serve(svc *service, conn *net.TCPConn) {
	client := plain(conn.RemoteAddr())
	now := time.Now()
	if s.unaudited(&svc.Service) != nil {
		s.turnAway(svc, conn, unaudited)
		return
	}
	if why := s.door.enter(svc, client.Addr(), now); why != "" {
		s.turnAway(svc, conn, why)
		return
	}
	outside, why := s.dialledBy(svc, conn)
	if why != "" {
		s.door.leave(svc, client.Addr())
		s.turnAway(svc, conn, why)
		return
	}
	sess := &session{
		gateway: s, service: svc, id: s.lastID.Add(1), began: now,
		clientConn: &wire{TCPConn: conn}, client: client, outside: outside, wanted: outside, since: now, lastLine: now,
	}
	sess.turn.L = &sess.mu
	sess.guests.Store(1)
	sess.spoke.Store(now.UnixNano())
	if !s.add(sess) {
		s.door.leave(svc, client.Addr())
		s.turnAway(svc, conn, refusedDrained)
		return
	}
	sess.begin()
}

// turnAway says why and hangs up.
func (s *Server) turnAway(svc *service, conn *net.TCPConn, why refusal) {
	svc.metrics.refused(string(why))
	s.traceRefusal(svc, conn.RemoteAddr(), why)
	s.Audit.Write(audit.Refused{
		Time: time.Now(), Reason: string(why),
		Who: audit.Who{Service: svc.Name, Client: plain(conn.RemoteAddr()), Gateway: plain(conn.LocalAddr())},
	})
	s.Logger.Debug("a client was turned away", "service", svc.Name, "client", conn.RemoteAddr(), "reason", string(why))
	if !svc.TLS.Implicit { // else there is no TLS yet to say it in
		_ = conn.SetWriteDeadline(time.Now().Add(lingers))
		_, _ = conn.Write([]byte(refusalTexts[why]))
	}
	_ = conn.Close()
}
