package proxy

import (
	"strconv"
	"time"

	"ftpgate/proxy/api"
)

// name is how a transfer is called: session.number.
func (t *transfer) name(session uint64) string {
	return strconv.FormatUint(session, 10) + "." + strconv.FormatUint(uint64(t.number), 10)
}

// runningTransfers are those without their final reply. The caller holds mu.
func (s *session) runningTransfers(now time.Time) []api.Running {
	all := []api.Running{}
	for _, a := range s.awaited {
		t := a.transfer
		if t == nil {
			continue
		}
		r := api.Running{ID: t.name(s.id), Verb: t.verb.String(), Path: shown(t.path), Direction: t.direction.String(), Began: t.began}
		if p := s.likely(t); p != nil {
			r.Mode, r.Connected, r.Relayed = p.mode.String(), p.connected.Load(), p.relayed
			r.Bytes, r.Rate = s.gateway.ledger.carried(p, t.direction, now)
		}
		all = append(all, r)
	}
	return all
}

// likely is the pinhole of a transfer, or, before a reply has said which, the
// session's latest.
func (s *session) likely(t *transfer) *pinhole {
	if t.pinhole != nil || len(s.fates) == 0 {
		return t.pinhole
	}
	return s.fates[len(s.fates)-1]
}
