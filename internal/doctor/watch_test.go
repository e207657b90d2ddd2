package doctor

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Errors are logged when they come and when they go, not while they stay; the
// metric has what there is.
func TestWatcher(t *testing.T) {
	off := Finding{Check: "forwarding", Severity: Error, About: "net/ipv4/ip_forward", Seen: "it is off", Mend: []string{"turn it on"}}
	busy := Finding{Check: "conntrack_full", Severity: Warning, About: "max", Seen: "99 of 100"}
	reports := []Report{
		{Findings: []Finding{off, busy}},
		{Findings: []Finding{off}},
		{Unexamined: []Unexamined{{"forwarding", "no right"}}}, // which is not gone
		{},
		{Findings: []Finding{off}},
	}
	want := []struct {
		log           string // what is new in it
		errors, warns float64
	}{
		{`level=ERROR msg="doctor: something of this host keeps FTP from passing" check=forwarding seen="it is off" why="" mend="turn it on"`, 1, 1},
		{"", 1, 0},
		{"", 1, 0},
		{`level=INFO msg="doctor: mended" check=forwarding was="it is off"`, 0, 0},
		{`level=ERROR`, 1, 0},
	}
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		w := NewWatcher(prometheus.NewPedanticRegistry(), slog.New(slog.NewTextHandler(&log, nil)))
		next := 0
		w.passing = func(context.Context, Options) Report {
			next++
			return reports[next-1]
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx, func() Options { return Options{} }) }()
		for i, step := range want {
			if i > 0 {
				<-time.After(Every)
			}
			synctest.Wait()
			said := log.take()
			if !strings.Contains(said, step.log) || step.log == "" && said != "" {
				t.Errorf("examination %d logs %q, want %q", i, said, step.log)
			}
			if e, n := w.value("forwarding", Error), w.value("conntrack_full", Warning); e != step.errors || n != step.warns {
				t.Errorf("examination %d: %v errors, %v warnings, want %v, %v", i, e, n, step.errors, step.warns)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// lockedBuffer is written by the watcher and read by the test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was written since the last time.
func (l *lockedBuffer) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.b.Reset()
	return l.b.String()
}

func (w *Watcher) value(c Check, s Severity) float64 {
	return testutil.ToFloat64(w.gauge.WithLabelValues(string(c), string(s)))
}

// The set of series is closed, and every severity of every check is in it.
func TestMetricIsClosed(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	NewWatcher(registry, slog.New(slog.DiscardHandler))
	series := 0
	for _, c := range checks {
		series += len(c.severities)
	}
	if n, err := testutil.GatherAndCount(registry, "ftpgate_doctor_findings"); err != nil || n != series {
		t.Errorf("%d series, want %d: %v", n, series, err)
	}
	if problems, err := testutil.GatherAndLint(registry); err != nil || len(problems) > 0 {
		t.Errorf("%v %v", problems, err)
	}
}
