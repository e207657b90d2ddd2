package proxy

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ftpgate/proxy/api"
)

// Events of a trace.
const (
	eventLine    = "line"
	eventBegin   = "begin"   // of a session; its Time may be long ago
	eventEnd     = "end"     // Text is how it ended, as in ftpgate_sessions_total
	eventRefused = "refused" // a client that got no session; Text is what it was told
	eventDropped = "dropped" // Text says how many events who reads the trace was too slow for
)

// maxTraced is how many events wait for who reads a trace.
const maxTraced = 1000

// tracer follows the sessions of some clients. Sessions put their lines into
// it and go on; who reads it has its own pace.
type tracer struct {
	clients netip.Prefix
	wake    chan struct{} // has something when events has

	mu      sync.Mutex // guards what follows
	events  []api.Traced
	dropped int // behind events, as there was no room
}

// Trace calls f with what the sessions of clients say, those that run and those
// that begin later, until ctx ends or f fails. It holds no session up: events
// that f is too slow for are lost, and f is told how many.
func (s *Server) Trace(ctx context.Context, clients netip.Prefix, f func(api.Traced) error) error {
	t := &tracer{clients: clients.Masked(), wake: make(chan struct{}, 1)}
	s.addTracer(t)
	defer s.removeTracer(t)
	for {
		for _, e := range t.take() {
			if err := f(e); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.wake:
		}
	}
}

// addTracer makes sessions see t. It knows first of those that run: no session
// begins or ends meanwhile.
func (s *Server) addTracer(t *tracer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for sess := range s.sessions {
		if t.clients.Contains(sess.client.Addr()) {
			t.events = append(t.events, sess.event(eventBegin, sess.began, ""))
		}
	}
	slices.SortFunc(t.events, func(a, b api.Traced) int { return cmp.Compare(a.Session, b.Session) })
	s.setTracers(append(s.allTracers(), t))
	t.ring()
}

func (s *Server) removeTracer(t *tracer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.setTracers(slices.DeleteFunc(s.allTracers(), func(o *tracer) bool { return o == t }))
}

// allTracers returns a copy: sessions read the original without a lock.
func (s *Server) allTracers() []*tracer {
	if all := s.tracers.Load(); all != nil {
		return slices.Clone(*all)
	}
	return nil
}

func (s *Server) setTracers(all []*tracer) {
	if len(all) == 0 {
		s.tracers.Store(nil) // nothing is all that a line then asks for
		return
	}
	s.tracers.Store(&all)
}

// put adds an event if there is room.
func (t *tracer) put(e api.Traced) {
	t.mu.Lock()
	if len(t.events) < maxTraced && t.dropped == 0 {
		t.events = append(t.events, e)
	} else {
		t.dropped++
	}
	t.mu.Unlock()
	t.ring()
}

func (t *tracer) ring() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// take takes all events out.
func (t *tracer) take() []api.Traced {
	t.mu.Lock()
	defer t.mu.Unlock()
	events := t.events
	if t.dropped > 0 {
		events = append(events, api.Traced{Event: eventDropped, Line: api.Line{Time: time.Now(), Text: strconv.Itoa(t.dropped) + " events"}})
	}
	t.events, t.dropped = nil, 0
	return events
}

// traced reports whether anybody traces anything. It is asked for each line.
func (s *session) traced() bool { return s.gateway.tracers.Load() != nil }

// traceLine shows a line to who traces the session.
func (s *session) traceLine(e entry, now time.Time) {
	s.gateway.trace(s.client.Addr(), func() api.Traced {
		t := s.event(eventLine, now, "")
		t.Line = e.line(now)
		return t
	})
}

// traceEvent shows something else than a line.
func (s *session) traceEvent(what, text string) {
	s.gateway.trace(s.client.Addr(), func() api.Traced { return s.event(what, time.Now(), text) })
}

func (s *session) event(what string, at time.Time, text string) api.Traced {
	return api.Traced{
		Session: s.id, Service: s.service.Name, Client: s.client.String(), Event: what,
		Line: api.Line{Time: at, Text: text},
	}
}

// trace shows an event of a client, made when somebody wants it.
func (s *Server) trace(client netip.Addr, event func() api.Traced) {
	all := s.tracers.Load()
	if all == nil {
		return
	}
	for _, t := range *all {
		if t.clients.Contains(client) {
			t.put(event())
		}
	}
}

// traceRefusal shows that a client got no session.
func (s *Server) traceRefusal(svc *service, client net.Addr, why refusal) {
	s.trace(plain(client).Addr(), func() api.Traced {
		return api.Traced{
			Service: svc.Name, Client: plain(client).String(), Event: eventRefused,
			Line: api.Line{Time: time.Now(), From: fromGateway.String(), Text: strings.TrimSpace(refusalTexts[why])},
		}
	})
}
