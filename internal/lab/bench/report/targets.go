package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// target is what a measure of ftpgate has to reach: a ratio, or a value where it
// is compared with nothing.
type target struct {
	measure  string
	over     string // a kind; "" for none
	overWhat string // the measure there; "": the same
	atMost   bool
	must     float64
	aim      float64 // 0: none
}

const own = "ftpgate"

// targets are those of the project, for a machine with two processors.
var targets = []target{
	{measure: "bulk.down.passive.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.down.active.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.up.passive.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.up.active.rate", over: "forward", must: 0.95, aim: 1},
	{measure: "bulk.down.passive.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "bulk.down.active.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "bulk.up.passive.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "bulk.up.active.cpu", over: "forward", atMost: true, must: 1.10, aim: 1},
	{measure: "transfers.1.reply.p50", over: "kernel", atMost: true, must: 3, aim: 2.2},
	{measure: "transfers.1.reply.p50", over: "haproxy", atMost: true, must: 1.4},
	{measure: "transfers.8.rate", over: "kernel", must: 0.55, aim: 0.75},
	{measure: "transfers.64.rate", over: "kernel", must: 0.55, aim: 0.75},
	{measure: "setups.16.rate", over: "kernel", must: 0.50, aim: 0.65},
	{measure: "probe.reply.p99", over: "kernel", atMost: true, must: 2, aim: 1.3},
	{measure: "idle.9000.pss", atMost: true, must: 16, aim: 6},
	{measure: "idle.9000.noop.p99", over: own, overWhat: "idle.100.noop.p99", atMost: true, must: 1.5},
	{measure: "pinholes.open.60000.p50", over: own, overWhat: "pinholes.open.0.p50", atMost: true, must: 1.2},
	{measure: "pinholes.churn.rate", must: 10_000},
	{measure: "pinholes.churn.lost", atMost: true, must: 0},
	{measure: "pinholes.churn.leftover", atMost: true, must: 0},
}

// reached returns what ftpgate reached; ok is false where it was not measured.
func (t target) reached(r *Report) (value float64, ok bool) {
	if t.over == "" {
		return r.Median(own, t.measure)
	}
	what := t.overWhat
	if what == "" {
		what = t.measure
	}
	return r.Ratio(own, t.measure, t.over, what)
}

func (t target) met(value, bound float64) bool {
	if t.atMost {
		return value <= bound
	}
	return value >= bound
}

// verdict is one word on a value.
func (t target) verdict(value float64) string {
	switch {
	case !t.met(value, t.must):
		return "MISSED"
	case t.aim != 0 && t.met(value, t.aim):
		return "met, aim too"
	}
	return "met"
}

// against names what a target is compared with.
func (t target) against() string {
	switch {
	case t.over == "":
		return "itself"
	case t.overWhat != "":
		return t.overWhat
	}
	return t.over
}

func (r *Report) writeTargets(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "target of ftpgate\tagainst\treached\tmust\taim\t\t\n")
	missing := 0
	for _, t := range targets {
		value, ok := t.reached(r)
		if !ok {
			missing++
			continue
		}
		sign, aim := "≥", "–"
		if t.atMost {
			sign = "≤"
		}
		if t.aim != 0 {
			aim = sign + " " + number(t.aim)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s %s\t%s\t%s\t\n", t.measure, t.against(), number(value), sign, number(t.must), aim, t.verdict(value))
	}
	if missing == len(targets) {
		return nil
	}
	fmt.Fprintln(w)
	if err := tw.Flush(); err != nil {
		return err
	}
	if missing > 0 {
		fmt.Fprintf(w, "%d more targets were not measured in this run.\n", missing)
	}
	return nil
}
