package proxy

import (
	"errors"
	"net/netip"
	"time"
)

var (
	errOutsideGone = errors.New("the address that the client dialled has left this host")
	errInsideGone  = errors.New("the address that the server sees has left this host")
)

// AddressGone says that an address has left this host: a VIP that another one
// has now. Its sessions end, for their peers talk to that one from now on.
func (s *Server) AddressGone(a netip.Addr) {
	if isLocal(a) { // it has only moved to another interface
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for sess := range s.sessions {
		server := sess.dialled.Load()
		switch {
		case plain(sess.clientConn.LocalAddr()).Addr() == a:
			go sess.lost(errOutsideGone, "")
		case server != nil && plain(server.LocalAddr()).Addr() == a:
			go sess.lost(errInsideGone, "421 The gateway has another address now: connect again\r\n")
		}
	}
}

// lost ends a session of which one peer cannot be reached any more: the client,
// if there is no word for it.
func (s *session) lost(why error, word string) {
	defer s.recovered()
	time.AfterFunc(lingers/2, s.unstick) // a write to nobody may hold the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machine == nil { // still dialling: there is no server to part with
		_ = s.clientConn.Close()
		return
	}
	if word == "" {
		s.held = nil
	}
	s.end(addressGone, why, word)
}
