package proxy

import (
	"errors"
	"net/netip"
	"time"
)

var errAddressGone = errors.New("the address that the client dialled has left this host")

// AddressGone says that an address has left this host: a VIP that another one
// has now. Its sessions end, for their clients talk to that one from now on.
func (s *Server) AddressGone(a netip.Addr) {
	if isLocal(a) { // it has only moved to another interface
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for sess := range s.sessions {
		if plain(sess.clientConn.LocalAddr()).Addr() == a {
			go sess.lost()
		}
	}
}

// lost ends a session whose client cannot be reached from here any more.
func (s *session) lost() {
	defer s.recovered()
	time.AfterFunc(lingers/2, s.unstick) // a write to nobody may hold the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machine == nil { // still dialling: there is no server to part with
		_ = s.clientConn.Close()
		return
	}
	s.end(addressGone, errAddressGone, "")
}
