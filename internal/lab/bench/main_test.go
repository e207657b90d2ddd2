package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ftpgate/internal/lab/bench/report"
	"ftpgate/internal/lab/bench/stand"
	"ftpgate/internal/lab/labtest"
)

// The test's program is also what it starts: the generator, the server and,
// after the word bench, the whole.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && slices.Contains([]string{"load", "serve"}, os.Args[1]) {
		os.Exit(run(context.Background(), os.Args[1:]))
	}
	if len(os.Args) > 1 && os.Args[1] == "bench" {
		os.Args = slices.Delete(os.Args, 1, 2)
		main()
	}
	os.Exit(m.Run())
}

// one is a run so short that its numbers say nothing, but all are there: the
// kernel counts processor time in hundredths of a second, and what a garbage
// collection gives back in between may be more than the buffers of ten transfers.
func one(t *testing.T, kinds ...string) options {
	t.Helper()
	labtest.NeedRoot(t)
	o := options{rounds: 2, seconds: 0.05, bytes: 128 << 20, noops: 50, idle: []int{20}, stalled: 60, pinholes: []int{0, 100}, out: t.TempDir()}
	for _, k := range stand.Kinds {
		if slices.Contains(kinds, k.Name) {
			o.kinds = append(o.kinds, k)
		}
	}
	return o
}

func TestARunMeasuresEverything(t *testing.T) {
	o := one(t, stand.Forward, stand.Kernel, stand.FTPGate, stand.Relay, stand.TLSServer, stand.TLS, stand.TLSBoth, stand.Audited)
	if err := o.bench(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := results(t, o.out)
	for _, kind := range []string{stand.Forward, stand.Kernel, stand.FTPGate} {
		for _, measure := range []string{
			"bulk.down.passive.rate", "bulk.down.passive.cpu", "bulk.down.active.rate", "bulk.up.passive.rate", "bulk.up.active.rate",
			"transfers.1.rate", "transfers.8.reply.p50", "transfers.64.done.p99", "transfers.8.cpu",
			"setups.1.rate", "setups.16.rate", "probe.reply.p99", "idle.20.noop.p99", "probe.beside",
		} {
			for round := 1; round <= o.rounds; round++ {
				if v := got[key{round, kind, measure}]; v <= 0 {
					t.Errorf("round %d, %s, %s: %g, want more than nothing", round, kind, measure, v)
				}
			}
		}
	}
	for kind, measures := range map[string][]string{
		stand.Relay:     {"bulk.down.passive.rate", "bulk.down.active.rate", "bulk.up.passive.cpu", "bulk.up.active.rate", "stalled.60.session.pss", "stalled.60.transfer.pss"},
		stand.TLSServer: {"tls.down.passive.rate", "tls.up.passive.rate"},
		stand.TLS:       {"tls.down.passive.rate", "tls.down.passive.cpu", "tls.up.passive.rate", "stalled.60.session.pss", "stalled.60.transfer.pss"},
		stand.TLSBoth:   {"tls.down.passive.rate", "tls.up.passive.rate", "stalled.60.session.pss", "stalled.60.transfer.pss"},
		stand.Audited:   {"events.rate", "events.daemon"},
	} {
		for _, measure := range measures {
			if v := got[key{1, kind, measure}]; v <= 0 {
				t.Errorf("%s, %s: %g, want more than nothing", kind, measure, v)
			}
		}
	}
	for _, measure := range []string{"events.kernel", "events.ledger", "events.audit", "events.session", "events.all"} {
		// A profile of half a second may not have seen it.
		if v, ok := got[key{1, stand.Audited, measure}]; !ok || v < 0 || v > got[key{1, stand.Audited, "events.daemon"}] {
			t.Errorf("%s: %g (%t), and all of the daemon %g", measure, v, ok, got[key{1, stand.Audited, "events.daemon"}])
		}
	}
	for measure, want := range map[string]func(float64) bool{
		"idle.20.pss":             positive,
		"pinholes.open.100.p50":   positive,
		"pinholes.churn.rate":     positive,
		"pinholes.churn.lost":     func(v float64) bool { return v == 0 },
		"pinholes.churn.leftover": func(v float64) bool { return v == 0 },
	} {
		v, ok := got[key{1, stand.FTPGate, measure}]
		if !ok || !want(v) {
			t.Errorf("%s: %g (%t)", measure, v, ok)
		}
	}
	for _, name := range []string{"memory.svg", "latency.svg", "opening.svg"} {
		wellFormed(t, filepath.Join(o.out, name))
	}
}

func positive(v float64) bool { return v > 0 }

type key struct {
	round         int
	kind, measure string
}

func results(t *testing.T, dir string) map[key]float64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "results.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	all := map[key]float64{}
	for line := range bytes.Lines(text) {
		var r report.Result
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if r.Machine == "" {
			t.Errorf("no machine in %q", line)
		}
		all[key{r.Round, r.Kind, r.Measure}] = r.Value
	}
	return all
}

func wellFormed(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Errorf("%s: %v", file, err)
			return
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	for _, tt := range [][]string{
		{"--kinds", "pigeon"}, {"--measures", "luck"}, {"--rounds", "some"}, {"more"},
	} {
		if status := run(t.Context(), tt); status != 2 {
			t.Errorf("%s: status %d, want 2", strings.Join(tt, " "), status)
		}
	}
}
