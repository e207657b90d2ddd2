package proxy

import (
	"errors"
	"fmt"
)

// admission is whether clients get sessions. Server.admit is the only writer.
type admission uint8

const (
	takesSessions admission = iota
	turnsAway               // SetDraining: sessions go on, nobody gets a new one
	goesDown                // Drain: sessions end, and there will be none
)

// admit changes the admission, but for the end, which is one. The caller holds mu.
func (s *Server) admit(a admission) {
	if s.admits != goesDown {
		s.admits = a
		s.Metrics.setDraining(a != takesSessions)
	}
}

// SetDraining lets no client have a new session, or ends that. Sessions go on
// untouched; it returns how many they are. Once the server goes down it
// changes nothing.
func (s *Server) SetDraining(on bool) (sessions int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.admit(turnsAway)
	} else {
		s.admit(takesSessions)
	}
	return len(s.sessions)
}

// Draining reports whether clients get no new sessions.
func (s *Server) Draining() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.admits != takesSessions
}

// Why a server is not ready, whatever its backends.
var (
	ErrDraining = errors.New("draining: running transfers end, new sessions are refused")
	ErrDrained  = errors.New("draining: sessions go on, new ones are refused (ftpgate undrain ends that)")
	ErrStarting = errors.New("starting: nothing is listened on yet")
)

// unaudited returns why a service takes nobody for want of an audit log, or nil.
func (s *Server) unaudited(c *Service) error {
	if !c.OnlyAudited {
		return nil
	}
	if err := s.Audit.Failing(); err != nil {
		return fmt.Errorf("new sessions are refused (audit.on_error = \"refuse\"): %w", err)
	}
	return nil
}

// Ready returns why the server cannot serve as it should, or nil.
func (s *Server) Ready() []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var why []error
	switch {
	case s.admits == goesDown:
		why = append(why, ErrDraining)
	case s.admits == turnsAway:
		why = append(why, ErrDrained)
	case len(s.listeners) == 0:
		why = append(why, ErrStarting)
	}
	for _, c := range s.settings.Services {
		if err := s.unaudited(&c); err != nil {
			why = append(why, fmt.Errorf("service %s: %w", c.Name, err))
		}
		up := c.Mode == Forward
		for _, b := range s.services[c.Name].backends {
			up = up || b.up.Load()
		}
		if !up {
			why = append(why, fmt.Errorf("service %s: no backend can be reached", c.Name))
		}
	}
	return why
}
