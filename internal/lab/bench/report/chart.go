package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// Chart is a growth curve: lines over a count.
type Chart struct {
	Title  string
	X, Y   string // what the axes show, with units
	LogY   bool
	Series []Series
}

// Series is one line.
type Series struct {
	Name   string
	Colour int // which of the colours: a kind has the same one in all charts
	Points []Point
}

// Point is what was measured at a count.
type Point struct{ X, Y float64 }

// The picture, in pixels: the plot and the margins around it.
const (
	plotWidth  = 620
	plotHeight = 340
	left       = 80
	top        = 50
	legend     = 170 // right of the plot
	bottom     = 60
)

// colours can be told apart by people who see fewer of them (Okabe and Ito).
var colours = []string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"}

// SVG draws the chart.
func (c Chart) SVG() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="13">`+"\n",
		left+plotWidth+legend, top+plotHeight+bottom)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	text(&b, left, 26, "start", 16, c.Title)
	c.axes(&b)
	x, y := c.scaleX(), c.scaleY()
	for i, s := range c.Series {
		colour := colours[s.Colour%len(colours)]
		var line []string
		for _, p := range s.Points {
			px, py := left+x.at(p.X)*plotWidth, top+(1-y.at(p.Y))*plotHeight
			line = append(line, fmt.Sprintf("%.1f,%.1f", px, py))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"><title>%s: %s at %s</title></circle>`+"\n",
				px, py, colour, html.EscapeString(s.Name), number(p.Y), count(p.X))
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(line, " "), colour)
		row := top + 10 + 22*i
		fmt.Fprintf(&b, `<rect x="%d" y="%d" width="14" height="4" fill="%s"/>`+"\n", left+plotWidth+16, row-5, colour)
		text(&b, left+plotWidth+36, float64(row), "start", 13, s.Name)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// axes draws the frame, a line for each tick, and the labels.
func (c Chart) axes(b *strings.Builder) {
	x, y := c.scaleX(), c.scaleY()
	for _, v := range x.ticks {
		px := left + x.at(v)*plotWidth
		fmt.Fprintf(b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>`+"\n", px, top, px, top+plotHeight)
		text(b, px, top+plotHeight+20, "middle", 13, count(v))
	}
	for _, v := range y.ticks {
		py := top + (1-y.at(v))*plotHeight
		fmt.Fprintf(b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/>`+"\n", left, py, left+plotWidth, py)
		text(b, left-8, py+4, "end", 13, tick(v))
	}
	fmt.Fprintf(b, `<rect x="%d" y="%d" width="%d" height="%d" fill="none" stroke="#444"/>`+"\n", left, top, plotWidth, plotHeight)
	text(b, left+plotWidth/2, top+plotHeight+46, "middle", 13, c.X)
	fmt.Fprintf(b, `<g transform="translate(20,%d) rotate(-90)">`, top+plotHeight/2)
	text(b, 0, 0, "middle", 13, c.Y)
	b.WriteString("</g>\n")
}

func text(b *strings.Builder, x, y float64, anchor string, size int, s string) {
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="%d">%s</text>`+"\n", x, y, anchor, size, html.EscapeString(s))
}

// scale takes values to the unit interval.
type scale struct {
	ticks     []float64
	low, high float64
	f         func(float64) float64
}

func (s scale) at(v float64) float64 {
	return (s.f(v) - s.f(s.low)) / (s.f(s.high) - s.f(s.low))
}

// scaleX is logarithmic, with a place for zero one decade before the first
// other count. Its ticks are the counts themselves.
func (c Chart) scaleX() scale {
	xs := c.values(func(p Point) float64 { return p.X })
	first := 1.0
	if i := slices.IndexFunc(xs, func(x float64) bool { return x > 0 }); i >= 0 {
		first = xs[i]
	}
	f := func(v float64) float64 { return math.Log10(max(v, first/10)) }
	low, high := xs[0], xs[len(xs)-1]
	if f(low) == f(high) {
		high = 10 * max(low, first)
	}
	return scale{xs, low, high, f}
}

// scaleY begins at zero, or is logarithmic between powers of ten.
func (c Chart) scaleY() scale {
	ys := c.values(func(p Point) float64 { return p.Y })
	low, high := ys[0], ys[len(ys)-1]
	if !c.LogY {
		s := scale{f: func(v float64) float64 { return v }}
		step := niceStep(high)
		for s.high < high || s.high == 0 {
			s.ticks = append(s.ticks, s.high)
			s.high += step
		}
		s.ticks = append(s.ticks, s.high)
		return s
	}
	lowest, highest := math.Floor(math.Log10(max(low, 1e-3))), math.Ceil(math.Log10(max(high, 1e-3)))
	if lowest == highest {
		highest++
	}
	s := scale{low: math.Pow(10, lowest), high: math.Pow(10, highest), f: func(v float64) float64 { return math.Log10(max(v, 1e-3)) }}
	for e := lowest; e <= highest; e++ {
		s.ticks = append(s.ticks, math.Pow(10, e))
	}
	return s
}

// values returns one coordinate of all points, sorted, each once.
func (c Chart) values(of func(Point) float64) []float64 {
	var all []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			all = append(all, of(p))
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// niceStep cuts a range into four to ten parts of a round size.
func niceStep(high float64) float64 {
	if high <= 0 {
		return 1
	}
	decade := math.Pow(10, math.Floor(math.Log10(high)))
	for _, part := range []float64{0.1, 0.2, 0.5} {
		if high/(decade*part) <= 10 {
			return decade * part
		}
	}
	return decade
}

// count groups the digits of a large number.
func count(v float64) string {
	s := fmt.Sprintf("%.0f", v)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + " " + s[i:] // a narrow space
	}
	return s
}

func tick(v float64) string {
	if v >= 1 || v == 0 {
		return count(v)
	}
	return fmt.Sprintf("%g", v)
}
