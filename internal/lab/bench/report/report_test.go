package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// filled is a report of two kinds over three rounds.
func filled() *Report {
	r := New("a machine", io.Discard)
	add := func(kind, measure string, values ...float64) {
		for i, v := range values {
			r.Add(Result{Round: i + 1, Kind: kind, Measure: measure, Unit: "1/s", Value: v})
		}
	}
	add("kernel", "transfers.8.rate", 1000, 2000, 4000)
	add("ftpgate", "transfers.8.rate", 600, 1000, 2000)
	add("ftpgate", "idle.9000.pss", 16.5, 15, 17)
	add("openssl", "tls.down.passive.rate", 500, 1000, 800)
	add("tls", "tls.up.passive.rate", 400, 900, 640)
	return r
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	r := filled()
	for _, tt := range []struct {
		name string
		got  func() (float64, bool)
		want float64
		ok   bool
	}{
		{"median", func() (float64, bool) { return r.Median("kernel", "transfers.8.rate") }, 2000, true},
		{"ratio", func() (float64, bool) { return r.Ratio("ftpgate", "transfers.8.rate", "kernel", "transfers.8.rate") }, 0.5, true},
		{"nothing measured", func() (float64, bool) { return r.Median("kernel", "idle.9000.pss") }, 0, false},
		{"nothing to compare with", func() (float64, bool) { return r.Ratio("ftpgate", "idle.9000.pss", "kernel", "idle.9000.pss") }, 0, false},
	} {
		if got, ok := tt.got(); got != tt.want || ok != tt.ok {
			t.Errorf("%s: %g %t, want %g %t", tt.name, got, ok, tt.want, tt.ok)
		}
	}
	if v, _ := median(map[int]float64{1: 1, 2: 10, 3: 2, 4: 4}); v != 3 {
		t.Errorf("median of an even number: %g, want 3, the middle of the two in the middle", v)
	}
}

func TestTableAndTargets(t *testing.T) {
	var out bytes.Buffer
	if err := filled().Write(&out); err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(out.String()) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"a machine",
		"Medians of 3 rounds; in brackets the ratio within the round to the kind in the last column.",
		"",
		"measure unit kernel ftpgate openssl tls ratio to",
		"transfers.8.rate 1/s 2000 (1.00) 1000 (0.50) – – kernel",
		"idle.9000.pss 1/s – 16.5 – –",
		"tls.down.passive.rate 1/s – – 800 – tls-server",
		"tls.up.passive.rate 1/s – – – 640 tls-server",
		"",
		"target of against reached must aim",
		"transfers.8.rate ftpgate kernel 0.500 ≥ 0.550 ≥ 0.750 MISSED",
		"idle.9000.pss ftpgate itself 16.5 ≤ 16.0 ≤ 6.00 MISSED",
		"tls.up.passive.rate tls openssl tls.down.passive.rate 0.800 – ≥ 1.00 short of the aim",
		"37 more targets were not measured in this run.",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerdicts(t *testing.T) {
	atLeast := target{must: 0.5, aim: 0.7}
	atMost := target{atMost: true, must: 2, aim: 1.5}
	for _, tt := range []struct {
		target target
		value  float64
		want   string
	}{
		{atLeast, 0.49, "MISSED"}, {atLeast, 0.5, "met"}, {atLeast, 0.7, "met, aim too"},
		{atMost, 2.01, "MISSED"}, {atMost, 2, "met"}, {atMost, 1.5, "met, aim too"},
		{target{aim: 1, aimOnly: true}, 0.9, "short of the aim"}, {target{aim: 1, aimOnly: true}, 1, "met, aim too"},
		{target{atMost: true}, 0, "met"}, {target{atMost: true}, 1, "MISSED"},
	} {
		if got := tt.target.verdict(tt.value); got != tt.want {
			t.Errorf("%+v, %g: %s, want %s", tt.target, tt.value, got, tt.want)
		}
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.01234: "0.0123", 1.5: "1.50", 12.34: "12.3", 123.4: "123", 12345: "12345"} {
		if got := number(v); got != want {
			t.Errorf("%g: %s, want %s", v, got, want)
		}
	}
}

func TestResultsThatCannotBeWrittenAreAnError(t *testing.T) {
	r := New("", broken{})
	r.Add(Result{})
	if err := r.Write(io.Discard); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("got %v, want %v", err, io.ErrShortWrite)
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

func TestChartsAreWholeAndWithinTheirFrame(t *testing.T) {
	for _, c := range []Chart{
		{Title: "a < b & c", X: "n", Y: "µs", Series: []Series{{"one", 0, []Point{{0, 7}, {1000, 8}, {60_000, 8.4}}}}},
		{Title: "logarithmic", LogY: true, Series: []Series{{"a", 0, []Point{{100, 0.3}, {9000, 28}}}, {"b", 1, []Point{{100, 190}}}}},
		{Title: "a single point", Series: []Series{{"a", 0, []Point{{100, 5}}}}},
		{Title: "nothing at all", Series: []Series{{"a", 0, []Point{{0, 0}}}}},
	} {
		var circles int
		for d := xml.NewDecoder(strings.NewReader(c.SVG())); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", c.Title, err)
			}
			if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
				circles++
			}
		}
		x, y, points := c.scaleX(), c.scaleY(), 0
		for _, s := range c.Series {
			for _, p := range s.Points {
				points++
				if px, py := x.at(p.X), y.at(p.Y); !(px >= 0 && px <= 1 && py >= 0 && py <= 1) || math.IsNaN(px+py) {
					t.Errorf("%s: %v is drawn at %g, %g", c.Title, p, px, py)
				}
			}
		}
		if circles != points {
			t.Errorf("%s: %d points drawn, want %d", c.Title, circles, points)
		}
	}
}
