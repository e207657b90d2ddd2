package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// curve is a chart and the measures that it is drawn from: prefix, count,
// suffix.
type curve struct {
	file           string
	chart          Chart
	prefix, suffix string
	perCount       bool // the value is per session: the curve is of all
	scale          float64
}

var curves = []curve{
	{file: "memory.svg", prefix: "idle.", suffix: ".pss", perCount: true, scale: 1.0 / 1024,
		chart: Chart{Title: "Memory for idle sessions", X: "idle sessions", Y: "PSS of the gateway, MiB, without what it has at none", LogY: true}},
	{file: "latency.svg", prefix: "idle.", suffix: ".noop.p99", scale: 1,
		chart: Chart{Title: "A command beside idle sessions", X: "idle sessions", Y: "NOOP to its reply, p99, µs"}},
	{file: "opening.svg", prefix: "pinholes.open.", suffix: ".p50", scale: 1,
		chart: Chart{Title: "Opening a pinhole beside open ones", X: "open pinholes", Y: "one opening, acknowledged, µs"}},
}

// Draw writes the growth curves that the results are enough for into a folder.
func (r *Report) Draw(dir string) error {
	for _, c := range curves {
		chart := r.plot(c)
		if len(chart.Series) == 0 {
			continue
		}
		if err := os.WriteFile(filepath.Join(dir, c.file), []byte(chart.SVG()), 0o644); err != nil {
			return fmt.Errorf("draw: %w", err)
		}
	}
	return nil
}

// plot fills in the medians. The one curve that is about one kind shows the
// 99th percentile too.
func (r *Report) plot(c curve) Chart {
	chart := c.chart
	kinds := r.kinds()
	for i, kind := range kinds {
		if s := (Series{kind, i, r.points(c, kind, c.suffix)}); len(s.Points) > 0 {
			chart.Series = append(chart.Series, s)
		}
	}
	if c.suffix == ".p50" && len(chart.Series) == 1 {
		kind := chart.Series[0].Name
		chart.Series[0].Name = "p50"
		chart.Series = append(chart.Series, Series{"p99", len(kinds), r.points(c, kind, ".p99")})
	}
	return chart
}

func (r *Report) points(c curve, kind, suffix string) []Point {
	var points []Point
	for _, m := range r.measures() {
		middle, ok := strings.CutPrefix(m, c.prefix)
		if !ok {
			continue
		}
		middle, ok = strings.CutSuffix(middle, suffix)
		n, err := strconv.Atoi(middle)
		if !ok || err != nil {
			continue
		}
		if v, ok := r.Median(kind, m); ok {
			if c.perCount {
				v *= float64(n)
			}
			points = append(points, Point{float64(n), v * c.scale})
		}
	}
	return points
}
