package proxy

import (
	"cmp"
	"slices"
	"time"

	"ftpgate/proxy/api"
)

// Sessions returns the sessions that a filter selects, the oldest first. One
// that is in the middle of a write to a peer that does not read is shown as far
// as it is known.
func (s *Server) Sessions(f api.Filter) []api.Session {
	selects, err := selection(f)
	if err != nil {
		return []api.Session{}
	}
	chosen := slices.DeleteFunc(s.snapshot(), func(sess *session) bool { return !selects(sess) })
	slices.SortFunc(chosen, func(a, b *session) int { return cmp.Compare(a.id, b.id) })
	views := make([]api.Session, len(chosen))
	look(chosen, func(i int, locked bool) {
		now := time.Now()
		if views[i] = chosen[i].outline(now); locked {
			chosen[i].detail(&views[i], now)
		}
	})
	return views
}

// Sessions whose lock is taken are asked again after a pause, all together.
const (
	looks     = 5
	lookPause = 2 * time.Millisecond
)

// look calls f for each session, with its lock unless a slow write keeps that.
func look(sessions []*session, f func(i int, locked bool)) {
	waiting := make([]int, len(sessions))
	for i := range waiting {
		waiting[i] = i
	}
	for try := 1; ; try++ {
		waiting = slices.DeleteFunc(waiting, func(i int) bool {
			free := sessions[i].mu.TryLock()
			if free {
				f(i, true)
				sessions[i].mu.Unlock()
			}
			return free
		})
		if len(waiting) == 0 || try == looks {
			break
		}
		time.Sleep(lookPause)
	}
	for _, i := range waiting {
		f(i, false)
	}
}

// selection returns what a filter selects. It takes no session's lock.
func selection(f api.Filter) (func(*session) bool, error) {
	clients, err := prefixOf(f.Client)
	if err != nil {
		return nil, err
	}
	return func(s *session) bool {
		return (f.ID == 0 || s.id == f.ID) && (f.Service == "" || s.service.Name == f.Service) &&
			(f.Client == "" || clients.Contains(s.client.Addr())) && (f.User == "" || s.userName() == f.User)
	}, nil
}

// userName is who has logged in, or tries to.
func (s *session) userName() string {
	if name := s.name.Load(); name != nil {
		return *name
	}
	return ""
}

// outline is what is known of a session without its lock.
func (s *session) outline(now time.Time) api.Session {
	v := api.Session{
		ID: s.id, Service: s.service.Name, Client: s.client.String(), User: s.userName(), Gateway: s.outside.String(),
		Protection: "clear", Phase: phase(s.seen.Load()).String(), Doing: "a peer does not read what it is sent",
		Began: s.began, Idle: max(0, now.Sub(time.Unix(0, s.spoke.Load())).Seconds()), Transfers: []api.Running{},
		ToClient: s.meter.toClients.Load(), ToServer: s.meter.toServers.Load(), Busy: true,
	}
	if server := s.dialled.Load(); server != nil {
		v.Backend = plain(server.RemoteAddr()).String()
	}
	switch {
	case phase(s.seen.Load()) == opaque:
		v.Protection = "pass"
	case s.clientConn.opened.Load() != nil:
		v.Protection = "tls"
	}
	return v
}

// detail completes an outline. The caller holds the session's lock.
func (s *session) detail(v *api.Session, now time.Time) {
	v.Busy, v.Phase = false, s.phase.String()
	v.Idle = max(0, now.Sub(s.lastLine).Seconds()) // TLS that passes counts too
	if s.through != nil {
		v.Protection = "pass"
	}
	v.Transfers = s.runningTransfers(now)
	v.Done, v.Failed = s.done, s.failed
	if v.Doing = s.doing(v.Transfers); !s.endBy.IsZero() && s.phase != over {
		v.Doing += ", then going down"
	}
}

// doing is what a session does, in words.
func (s *session) doing(transfers []api.Running) string {
	switch {
	case s.phase == over:
		return "going down"
	case s.asking:
		return "waiting for the name of a server"
	case s.machine == nil:
		return "connecting to " + s.destination()
	case !s.clientConn.speakable():
		return "waiting for the client's TLS handshake"
	case len(transfers) > 0:
		return inWords(transfers[0])
	}
	switch s.phase {
	case greeting:
		return "waiting for the greeting"
	case login:
		return "logging in"
	case opaque:
		return "TLS that is not ours passes"
	case clientGone:
		return "waiting for the server's end, as the client has gone"
	}
	return "idle"
}

// destination is the server that is being dialled.
func (s *session) destination() string {
	if s.service.Mode == Forward {
		return s.wanted.String()
	}
	if all := s.service.candidates(s.client.Addr()); len(all) == 1 {
		return all[0].at.String()
	}
	return "a backend"
}

// inWords says what a transfer is.
func inWords(t api.Running) string {
	text := t.Verb
	if t.Path != "" {
		text += " " + t.Path
	}
	if !t.Connected {
		text += ", waiting for its data connection"
	}
	return text
}
