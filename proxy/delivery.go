package proxy

import (
	"errors"
	"slices"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/relay"
)

// Carries says which way data goes, by the data commands that are outstanding.
func (r *relayed) Carries(from relay.Side) bool {
	s := r.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if from == relay.Client {
		return s.transfers[alg.Upload] > 0
	}
	return s.transfers[alg.Download]+s.transfers[alg.Listing] > 0
}

// Ended lets what waits for the end of a direction go on.
func (r *relayed) Ended(from relay.Side, err error) {
	s := r.session
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ended[from] = true; err != nil {
		s.spoilt = append(s.spoilt[max(0, len(s.spoilt)-maxSpoilt):], spoilt{r.pinhole.id, from, err})
	}
	s.turn.Broadcast()
}

// spoilt is a direction of a relayed connection that broke. Whether it matters
// is known when the final reply of its transfer comes.
type spoilt struct {
	id   alg.ID
	from relay.Side
	err  error
}

// maxSpoilt bounds those of which no final reply has come.
const maxSpoilt = 8

// source is the side that the data of a transfer comes from.
func source(d alg.Direction) relay.Side {
	if d == alg.Upload {
		return relay.Client
	}
	return relay.Server
}

// dataBroke makes sure that no 226 says otherwise. Nothing is cut for what the
// client did wrong: it is to read why.
func (s *session) dataBroke(r *relayed, err error) {
	why := alg.DataBroken
	var client *clientTLSError
	if errors.As(err, &client) {
		why = client.why
	} else {
		r.cut()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.machine.Broken(r.pinhole.id, why)
	s.logDataBroke(r.pinhole.id, err)
}

// awaitData holds the final reply of a transfer until what the transfer
// delivers is delivered, and known to be whole.
func (s *session) awaitData(line []byte) {
	if len(s.relays) == 0 && len(s.pinholes) == 0 && len(s.spoilt) == 0 {
		return
	}
	late := time.Time{} // when a connection that is still to come does not come any more
	for s.phase != over {
		id, direction := s.machine.Finishes(line)
		coming := s.coming(id)
		if coming && late.IsZero() {
			late = time.Now().Add(lingers)
			defer time.AfterFunc(lingers, s.wake).Stop()
		}
		if !s.carries(id, source(direction)) && !(coming && time.Now().Before(late)) {
			s.judge(id, source(direction))
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
func (s *session) carries(id alg.ID, from relay.Side) bool {
	return slices.ContainsFunc(s.relays, func(r *relayed) bool { return r.pinhole.id == id && !r.ended[from] })
}

// judge tells the machine that what a transfer has delivered is not all.
func (s *session) judge(id alg.ID, from relay.Side) {
	for _, what := range s.spoilt {
		if what.id == id && what.from == from {
			s.machine.Broken(id, alg.DataBroken)
			s.logDataBroke(id, what.err)
			return
		}
	}
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
		if r.pinhole.id != id {
			continue
		}
		if all || r.joined.Load() == nil || r.unused() {
			r.cut()
		}
	}
}

// unused reports whether a connection with TLS has carried nothing: the relay does
// not pass on the end of TLS that was cut off where nothing is waited for. (What is
// clear is passed on as it is, and counted late.)
func (r *relayed) unused() bool {
	return (r.pinhole.private || r.session.serverTLS()) && r.joined.Load().Carried() == 0
}
