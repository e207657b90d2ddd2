package proxy

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"
)

// Failures returns the failed transfers of a filter's sessions, the latest first.
func (s *Server) Failures(f api.Filter) []api.Failure {
	prefix, err := prefixOf(f.Client)
	if err != nil {
		return []api.Failure{}
	}
	return s.ledger.failures.List(func(x api.Failure) bool {
		client, err := netip.ParseAddrPort(x.Client)
		return (f.ID == 0 || x.Session == f.ID) && (f.Service == "" || x.Service == f.Service) && (f.User == "" || x.User == f.User) &&
			(f.Client == "" || err == nil && prefix.Contains(client.Addr()))
	})
}

// FailureCount returns how many failures Explain knows.
func (s *Server) FailureCount() int { return s.ledger.failures.Len() }

// prefixOf reads what selects clients; "" is none.
func prefixOf(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	return api.Clients(text)
}

// Explain returns why a transfer failed, by its id (session.number); of a session's
// number alone, what its latest failure was or, if it is in the middle of a
// transfer, what keeps that.
func (s *Server) Explain(id string) (api.Explanation, error) {
	number, which, _ := strings.Cut(id, ".")
	n, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return api.Explanation{}, fmt.Errorf("%q is no transfer (42.3) and no session (42)", id)
	}
	for _, sess := range s.snapshot() {
		if sess.id == n {
			if e, ok := sess.explainRunning(which); ok {
				return e, nil
			}
		}
	}
	if e, ok := s.ledger.failures.Find(id); ok {
		return e, nil
	}
	return api.Explanation{}, fmt.Errorf("%s: %w: no failed transfer of this id is kept, and none runs", id, api.ErrUnknown)
}

// ExplainClient is Explain for the latest failure of a client, or for a transfer
// of it that runs and has not got anywhere.
func (s *Server) ExplainClient(client netip.Addr) (api.Explanation, error) {
	client = client.Unmap()
	var running api.Explanation
	for _, sess := range s.snapshot() {
		if sess.client.Addr() == client {
			if e, ok := sess.explainRunning(""); ok && (running.ID == "" || e.Cause != "") {
				running = e
			}
		}
	}
	failed, ok := s.ledger.failures.OfClient(client)
	switch {
	case running.Cause != "", running.ID != "" && !ok:
		return running, nil
	case ok:
		return failed, nil
	}
	return api.Explanation{}, fmt.Errorf("%v: %w: no transfer of this client has failed lately, and none runs", client, api.ErrUnknown)
}

// snapshot returns the sessions of now.
func (s *Server) snapshot() []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*session, 0, len(s.sessions))
	for sess := range s.sessions {
		all = append(all, sess)
	}
	return all
}

// explainRunning says what is known of a transfer that runs, by its number in the
// session; "" is the oldest.
func (s *session) explainRunning(which string) (api.Explanation, bool) {
	if !s.lockSoon() {
		return api.Explanation{}, false
	}
	now := time.Now()
	e := &ending{session: s, at: now, who: s.who(), fates: s.showFates(), lines: s.recentLines()}
	for _, a := range s.awaited {
		if a.transfer != nil && (which == "" || strconv.Itoa(int(a.transfer.number)) == which) {
			t := *a.transfer // the lock ends before this is done
			t.pinhole = s.likely(&t)
			e.earlier = s.earlierSetUps(&t)
			e.transfer = &t
			break
		}
	}
	s.mu.Unlock()
	if e.transfer == nil {
		return api.Explanation{}, false
	}
	l := s.gateway.ledger
	var c counted
	if p := e.transfer.pinhole; p != nil {
		if f := p.flow.Load(); f != nil {
			l.flowOf(f, now)
		}
		c.n, _ = l.carried(p, e.transfer.direction, now)
	}
	v := cause.Decide(l.evidence(e, c))
	if v.Cause == "" {
		v.Sentence = fmt.Sprintf("It runs, for %v now, and has carried %d bytes.", now.Sub(e.transfer.began).Round(100*time.Millisecond), c.n)
	}
	return api.Explanation{Failure: e.failure(c, v), Pending: true, Evidence: v.Seen, Pinholes: e.fates, Lines: e.lines}, true
}

// lockSoon takes the session's lock unless a slow peer holds it up.
func (s *session) lockSoon() bool {
	for range 20 {
		if s.mu.TryLock() {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}
