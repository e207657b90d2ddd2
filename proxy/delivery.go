package proxy

import (
	"errors"
	"slices"
	"time"

	"ftpgate/alg"
)

// dataDelivered: what waits for the end of a relayed transfer may go on.
func (s *session) dataDelivered(r *relayed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.delivered = true
	s.turn.Broadcast()
}

// dataBroke makes sure that no 226 says otherwise.
func (s *session) dataBroke(r *relayed, err error) {
	r.cut()
	why := alg.DataBroken
	var client *clientTLSError
	if errors.As(err, &client) {
		why = client.why
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine.Broken(r.pinhole.id, why)
	s.logDataBroke(r, err)
}

// awaitData holds the final reply of a transfer until what the transfer
// delivers is delivered, and known to be whole.
func (s *session) awaitData(line []byte) {
	if len(s.relays) == 0 && len(s.pinholes) == 0 {
		return
	}
	late := time.Time{} // when a connection that is still to come does not come any more
	for s.phase != over {
		id := s.machine.Finishes(line)
		coming := s.coming(id)
		if coming && late.IsZero() {
			late = time.Now().Add(lingers)
			defer time.AfterFunc(lingers, s.wake).Stop()
		}
		if !s.carries(id) && !(coming && time.Now().Before(late)) {
			return
		}
		if len(s.held) > 0 {
			s.more = false
			s.writeClient(nil)
		}
		s.turn.Wait()
	}
}

// carries reports whether the relay has something of a pinhole to deliver.
func (s *session) carries(id alg.ID) bool {
	return slices.ContainsFunc(s.relays, func(r *relayed) bool { return r.pinhole.id == id && !r.delivered })
}

// coming reports whether the server must have dialled a pinhole and the relay
// has not seen that yet. A short file and its 226 are quicker than an accept.
func (s *session) coming(id alg.ID) bool {
	return slices.ContainsFunc(s.pinholes, func(p *pinhole) bool {
		return p.id == id && p.relayed && !p.taken && !p.mode.Passive()
	})
}

func (s *session) wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn.Broadcast()
}

// cutData ends the relayed connection of a pinhole whose transfer is over
// before it has begun, or was aborted.
func (s *session) cutData(id alg.ID, all bool) {
	for _, r := range s.relays {
		if r.pinhole.id == id && (all || !r.joined.Load()) {
			r.cut()
		}
	}
}
