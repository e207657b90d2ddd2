package proxy

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"ftpgate/proxy/api"
)

// ErrNoFilter says that nobody said which sessions.
var ErrNoFilter = errors.New("say which sessions: by id, client, user or service")

const killedWord = "421 Ended by the administrator\r\n"

// Kill ends the sessions that a filter selects, with what their data connections
// still carry, and returns their numbers. It does not wait for their ends, which
// take a few seconds where a peer does not read what it is sent.
func (s *Server) Kill(f api.Filter) ([]uint64, error) {
	if f == (api.Filter{}) {
		return nil, ErrNoFilter
	}
	selects, err := selection(f)
	if err != nil {
		return nil, err
	}
	ids := []uint64{}
	for _, sess := range s.snapshot() {
		if selects(sess) {
			ids = append(ids, sess.id)
			go sess.kill()
		}
	}
	ids = append(ids, s.relays.cutThose(selects)...) // one may outlive its session
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 && f.ID != 0 {
		return nil, fmt.Errorf("session %d: %w: it has ended, or there was none", f.ID, api.ErrUnknown)
	}
	return ids, nil
}

// kill ends the session, in whatever it is.
func (s *session) kill() {
	defer s.recovered()
	s.killed.Store(true)                 // whatever ends it from now on
	time.AfterFunc(lingers/2, s.unstick) // a peer that does not read holds the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.machine != nil:
		s.end(killed, nil, killedWord)
	case s.asking: // who reads from the client ends it
		_ = s.clientConn.SetReadDeadline(time.Now())
	case s.phase != over: // it is still dialling, and ends when that does
		s.recordOwn([]byte(killedWord), time.Now())
		s.farewell(killedWord)
	}
	s.cutFlows()
}

// cutThose cuts the relays of some sessions, and returns the numbers of these.
func (rs *relays) cutThose(selects func(*session) bool) []uint64 {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var ids []uint64
	for r := range rs.running {
		if selects(r.session) {
			ids = append(ids, r.session.id)
			r.cut()
		}
	}
	return ids
}
