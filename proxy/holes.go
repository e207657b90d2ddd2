package proxy

import (
	"slices"
	"time"

	"ftpgate/alg"
)

// openPinhole makes a pinhole true and returns the verdict with the line that
// announces it, or with the refusal and the command of the set-up that is lost.
func (s *session) openPinhole(o alg.Open) (v alg.Verdict, lost alg.Verb) {
	p, why := s.gateway.pinholes.add(s, o, s.lastLine)
	if why != alg.NoReason {
		s.service.metrics.pinholeRefused(o.Mode, why)
		return s.machine.Refused(why), modeVerbs[o.Mode]
	}
	s.setUp = nil
	s.remember(p)
	s.pinholes = append(s.pinholes, p)
	s.service.metrics.pinholeOpened(o.Mode)
	return s.machine.Opened(s.announced(p)), alg.None
}

// closeByID closes a pinhole that the machine names. It may be gone already.
func (s *session) closeByID(c alg.Closing) {
	for _, p := range s.pinholes {
		if p.id == c.ID {
			how := outcomeClosed
			if c.Why == alg.Replaced {
				how = outcomeReplaced
			}
			s.closePinhole(p, how)
			return
		}
	}
}

// closePinhole ends a pinhole, whatever became of it, and counts it. It is the
// only place that does.
func (s *session) closePinhole(p *pinhole, how string) {
	s.pinholes = slices.DeleteFunc(s.pinholes, func(q *pinhole) bool { return q == p })
	used := p.connected.Load()
	if used {
		how = outcomeUsed
		s.dataCame = true
	}
	p.fate, p.ended = how, time.Now()
	s.service.metrics.pinholeClosed(p.mode, how)
	if how != outcomeExpired {
		s.gateway.pinholes.remove(p)
	} else {
		s.gateway.pinholes.release(p)
	}
	if !used {
		s.service.metrics.pinholeStood(time.Since(p.opened))
	}
}

// dropPinhole closes a pinhole for somebody outside of the session.
func (s *session) dropPinhole(p *pinhole) {
	defer s.recovered()
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.pinholes, p) {
		s.closePinhole(p, outcomeClosed)
	}
}
