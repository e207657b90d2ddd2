package proxy

import (
	"slices"
	"sync"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/api"
)

// maxSamples is how many samples of the throughput are kept: five minutes of
// them, at one with each sweep of conntrack.
const maxSamples = 150

// history is the throughput of the last minutes.
type history struct {
	mu      sync.Mutex // guards what follows
	samples []api.Sample
	last    total
}

// total is what had gone through data connections at a time.
type total struct {
	at                   time.Time
	toClients, toServers uint64
	sessions, transfers  int
}

// add makes a sample of what has gone through since the last time.
func (h *history) add(now total) {
	h.mu.Lock()
	defer h.mu.Unlock()
	before := h.last
	h.last = now
	since := now.at.Sub(before.at).Seconds()
	if before.at.IsZero() || since <= 0 {
		return
	}
	if len(h.samples) == maxSamples {
		h.samples = slices.Delete(h.samples, 0, 1)
	}
	h.samples = append(h.samples, api.Sample{
		Time: now.at, Sessions: now.sessions, Transfers: now.transfers,
		ToClients: float64(now.toClients-before.toClients) / since, ToServers: float64(now.toServers-before.toServers) / since,
	})
}

// Throughput returns what went through data connections, over the last minutes.
func (s *Server) Throughput() []api.Sample {
	s.ledger.history.mu.Lock()
	defer s.ledger.history.mu.Unlock()
	return append([]api.Sample{}, s.ledger.history.samples...)
}

func (s *Server) sample(now time.Time) total {
	t := total{at: now, toClients: s.meter.toClients.Load(), toServers: s.meter.toServers.Load()}
	s.mu.Lock()
	t.sessions = len(s.sessions)
	s.mu.Unlock()
	t.transfers = int(s.transferring.Load())
	return t
}

// modeVerbs are the commands that set up a mode; AUTH sets up no transfer.
var modeVerbs = [...]alg.Verb{
	alg.ModePASV: alg.PASV, alg.ModeEPSV: alg.EPSV, alg.ModePORT: alg.PORT, alg.ModeEPRT: alg.EPRT, alg.ModeAUTH: alg.None,
}
