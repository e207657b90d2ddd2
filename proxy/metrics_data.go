package proxy

import (
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/cause"

	"github.com/prometheus/client_golang/prometheus"
)

// resolveData resolves the metrics of data connections.
func (s *serviceMetrics) resolveData(name string, m *Metrics) {
	for _, d := range []alg.Direction{alg.Download, alg.Upload, alg.Listing} {
		t := &s.transfers[d]
		s.active[d] = m.transfersActive.WithLabelValues(name, d.String())
		t.done = m.transfers.WithLabelValues(name, d.String(), "done")
		t.failed = m.transfers.WithLabelValues(name, d.String(), "failed")
		t.time = m.transferTime.WithLabelValues(name, d.String())
		s.bytes[d] = m.transferBytes.WithLabelValues(name, d.String())
	}
	for _, c := range cause.All {
		s.failures[c] = m.failures.WithLabelValues(name, string(c))
	}
	for _, mode := range pinholeModes {
		p := &s.pinholes[mode]
		p.open = m.pinholes.WithLabelValues(name, mode.String())
		p.outcomes = map[string]prometheus.Counter{}
		for _, o := range pinholeOutcomes {
			p.outcomes[o] = m.pinholesTotal.WithLabelValues(name, mode.String(), o)
		}
	}
}

func (s *serviceMetrics) transferEnded(d alg.Direction, done bool, took time.Duration) {
	t := &s.transfers[d]
	t.time.Observe(took.Seconds())
	if done {
		t.done.Inc()
	} else {
		t.failed.Inc()
	}
}

func (s *serviceMetrics) transferFailed(c cause.Cause) { s.failures[c].Inc() }
