// Package report makes sense of measurements: medians, ratios within a round,
// targets, and pictures.
package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Result is one measurement.
type Result struct {
	Round   int     `json:"round"`
	Kind    string  `json:"kind"`
	Measure string  `json:"measure"`
	Unit    string  `json:"unit"`
	Value   float64 `json:"value"`
	Machine string  `json:"machine"`
}

// Machine is the kind of results that are about none.
const Machine = "machine"

// Report collects results.
type Report struct {
	machine string
	results []Result
	lines   *json.Encoder
	err     error // of writing lines
}

// New returns an empty report. Each result is also written to lines, as JSON.
func New(machine string, lines io.Writer) *Report {
	return &Report{machine: machine, lines: json.NewEncoder(lines)}
}

// Add keeps a result, and its line at once: a run that is broken off leaves
// what it found.
func (r *Report) Add(m Result) {
	m.Machine = r.machine
	r.results = append(r.results, m)
	if err := r.lines.Encode(m); err != nil && r.err == nil {
		r.err = fmt.Errorf("write results: %w", err)
	}
}

// Median returns the median over the rounds; ok is false where nothing was
// measured.
func (r *Report) Median(kind, measure string) (value float64, ok bool) {
	return median(r.rounds(kind, measure))
}

// Ratio returns the median over the rounds of one measure to another, each
// within its round.
func (r *Report) Ratio(kind, measure, overKind, overMeasure string) (value float64, ok bool) {
	over := r.rounds(overKind, overMeasure)
	ratios := map[int]float64{}
	for round, v := range r.rounds(kind, measure) {
		if o, ok := over[round]; ok && o != 0 {
			ratios[round] = v / o
		}
	}
	return median(ratios)
}

// rounds returns a measure by round.
func (r *Report) rounds(kind, measure string) map[int]float64 {
	values := map[int]float64{}
	for _, m := range r.results {
		if m.Kind == kind && m.Measure == measure {
			values[m.Round] = m.Value
		}
	}
	return values
}

func median(values map[int]float64) (float64, bool) {
	if len(values) == 0 {
		return 0, false
	}
	var sorted []float64
	for _, v := range values {
		sorted = append(sorted, v)
	}
	slices.Sort(sorted)
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2, true
}

// kinds and measures are those of the results, in the order of their first one.
func (r *Report) kinds() []string {
	return r.distinct(func(m Result) string { return m.Kind })
}

func (r *Report) measures() []string {
	return r.distinct(func(m Result) string { return m.Measure })
}

func (r *Report) distinct(of func(Result) string) []string {
	var all []string
	for _, m := range r.results {
		if v := of(m); m.Kind != Machine && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	return all
}

func (r *Report) unit(measure string) string {
	i := slices.IndexFunc(r.results, func(m Result) bool { return m.Measure == measure })
	return r.results[i].Unit
}
