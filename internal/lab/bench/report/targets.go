package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// target is what a measure of ftpgate has to reach: a ratio, or a value where it
// is compared with nothing.
type target struct {
	kind     string // of ftpgate; "": the plain one
	measure  string
	over     string // a kind; "" for none
	overWhat string // the measure there; "": the same
	atMost   bool
	must     float64
	aim      float64 // 0: none
	aimOnly  bool    // there is no must
}

const own = "ftpgate"

// reached returns what ftpgate reached; ok is false where it was not measured.
func (t target) reached(r *Report) (value float64, ok bool) {
	if t.over == "" {
		return r.Median(t.of(), t.measure)
	}
	what := t.overWhat
	if what == "" {
		what = t.measure
	}
	return r.Ratio(t.of(), t.measure, t.over, what)
}

// of is the kind of ftpgate that a target is for.
func (t target) of() string {
	if t.kind == "" {
		return own
	}
	return t.kind
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
	case t.aimOnly && !t.met(value, t.aim):
		return "short of the aim"
	case !t.aimOnly && !t.met(value, t.must):
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
	case t.overWhat != "" && t.over == t.of():
		return t.overWhat
	case t.overWhat != "":
		return t.over + " " + t.overWhat
	}
	return t.over
}

func (r *Report) writeTargets(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "target\tof\tagainst\treached\tmust\taim\t\t\n")
	missing := 0
	for _, t := range targets {
		value, ok := t.reached(r)
		if !ok {
			missing++
			continue
		}
		sign, must, aim := "≥", "–", "–"
		if t.atMost {
			sign = "≤"
		}
		if !t.aimOnly {
			must = sign + " " + number(t.must)
		}
		if t.aim != 0 {
			aim = sign + " " + number(t.aim)
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", t.measure, t.of(), t.against(), number(value), must, aim, t.verdict(value))
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
