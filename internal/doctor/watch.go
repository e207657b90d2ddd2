package doctor

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Every is how often a Watcher examines the host.
const Every = 5 * time.Minute

// Watcher examines the host of a daemon at its start and again and again.
type Watcher struct {
	log     *slog.Logger
	every   time.Duration
	gauge   *prometheus.GaugeVec
	known   map[cause]Finding // the errors that there were last; owned by Run
	passing func(context.Context, Options) Report
}

// cause tells findings apart, whatever numbers are in their text.
type cause struct {
	check Check
	about string
}

// NewWatcher registers the metric, with a series for each severity that a check
// can have.
func NewWatcher(r prometheus.Registerer, log *slog.Logger) *Watcher {
	w := &Watcher{
		log: log, every: Every, known: map[cause]Finding{}, passing: Examine,
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "ftpgate_doctor_findings", Help: "What ftpgate doctor finds on this host, by check and severity.",
		}, []string{"check", "severity"}),
	}
	r.MustRegister(w.gauge)
	w.show(Report{})
	return w
}

// Run examines the host until ctx ends. options are asked for anew each time, so
// that a reload is seen.
func (w *Watcher) Run(ctx context.Context, options func() Options) error {
	tick := time.NewTicker(w.every)
	defer tick.Stop()
	for {
		report := w.passing(ctx, options())
		if ctx.Err() != nil {
			return nil
		}
		w.show(report)
		w.tell(ctx, report)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// show leaves a check that could not be made as it was.
func (w *Watcher) show(r Report) {
	type label struct {
		check    Check
		severity Severity
	}
	n := map[label]float64{}
	for _, f := range r.Findings {
		n[label{f.Check, f.Severity}]++
	}
	for _, c := range checks {
		if slices.ContainsFunc(r.Unexamined, func(u Unexamined) bool { return u.Check == c.name }) {
			continue
		}
		for _, s := range c.severities {
			w.gauge.WithLabelValues(string(c.name), string(s)).Set(n[label{c.name, s}])
		}
	}
}

// tell logs errors that were not there before, and those that are no more. A
// check that could not be made says nothing of either.
func (w *Watcher) tell(ctx context.Context, r Report) {
	unknown := map[Check]bool{}
	for _, u := range r.Unexamined {
		unknown[u.Check] = true
	}
	now := map[cause]Finding{}
	for _, f := range r.Findings {
		at := cause{f.Check, f.About}
		if f.Severity != Error {
			continue
		}
		now[at] = f
		if _, before := w.known[at]; !before {
			mend := strings.Join(f.Mend, "; ")
			if mend == "" {
				mend = f.Edit
			}
			w.log.LogAttrs(ctx, slog.LevelError, "doctor: something of this host keeps FTP from passing", slog.String("check", string(f.Check)),
				slog.String("seen", f.Seen), slog.String("why", f.Why), slog.String("mend", mend))
		}
	}
	for at, f := range w.known {
		if _, still := now[at]; still {
			continue
		}
		if unknown[at.check] {
			now[at] = f
			continue
		}
		w.log.LogAttrs(ctx, slog.LevelInfo, "doctor: mended", slog.String("check", string(at.check)), slog.String("was", f.Seen))
	}
	w.known = now
}
