package report

import (
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
)

// Write writes the medians with their ratios, and the targets.
func (r *Report) Write(w io.Writer) error {
	if r.err != nil || len(r.results) == 0 {
		return r.err
	}
	fmt.Fprintln(w, r.machine)
	if busy, ok := r.Median(Machine, "background"); ok {
		fmt.Fprintf(w, "Beside the benchmark %s processors were busy.\n", number(busy))
	}
	fmt.Fprintf(w, "Medians of %d rounds; in brackets the ratio within the round to the kind in the last column.\n\n", r.roundCount())
	kinds := r.kinds()
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "measure\tunit\t%s\tratio to\t\n", strings.Join(kinds, "\t"))
	for _, m := range r.measures() {
		base := baseOf(m)
		cells := []string{m, r.unit(m)}
		for _, k := range kinds {
			cells = append(cells, r.cell(k, m, base))
		}
		fmt.Fprintf(t, "%s\t%s\t\n", strings.Join(cells, "\t"), base)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	return r.writeTargets(w)
}

func (r *Report) cell(kind, measure, base string) string {
	v, ok := r.Median(kind, measure)
	if !ok {
		return "–"
	}
	text := number(v)
	if ratio, ok := r.Ratio(kind, measure, base, measure); ok {
		text += fmt.Sprintf(" (%.2f)", ratio)
	}
	return text
}

// baseOf is the kind that a measure is compared with: bytes with the router
// that only forwards them, words with the helper that reads them too, TLS with
// the same TLS at the server.
func baseOf(measure string) string {
	switch {
	case strings.HasSuffix(measure, ".own"):
		return ""
	case strings.HasPrefix(measure, "bulk."):
		return "forward"
	case strings.HasPrefix(measure, "tls."):
		return "tls-server"
	case strings.HasSuffix(measure, ".pss"), strings.HasPrefix(measure, "pinholes."):
		return ""
	}
	return "kernel"
}

func (r *Report) roundCount() int {
	n := 0
	for _, m := range r.results {
		n = max(n, m.Round)
	}
	return n
}

// number has three digits that mean something.
func number(v float64) string {
	digits := 2 - int(math.Floor(math.Log10(math.Abs(v))))
	if v == 0 || digits < 0 {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}
