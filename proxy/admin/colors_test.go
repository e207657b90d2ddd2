package admin

import (
	"io/fs"
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// The contrasts that WCAG 2.2 asks for, 1.4.3 and 1.4.11: https://www.w3.org/TR/WCAG22/#contrast-minimum
const (
	textContrast = 4.5
	lineContrast = 3
)

func TestColorsHaveContrast(t *testing.T) {
	css, err := fs.ReadFile(statusPage, "page/style.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("there is no dark look")
	}
	for name, colors := range map[string]map[string]float64{"light": luminances(t, light), "dark": luminances(t, dark)} {
		for _, pair := range []struct {
			front, back string
			least       float64
		}{
			{"ink", "sheet", textContrast}, {"ink", "paper", textContrast}, {"ink", "faint", textContrast},
			{"soft", "sheet", textContrast}, {"soft", "paper", textContrast}, {"soft", "faint", textContrast},
			{"link", "sheet", textContrast}, {"link", "paper", textContrast}, {"good", "sheet", textContrast}, {"good", "paper", textContrast},
			{"warn-ink", "warn", textContrast}, {"bad-ink", "bad", textContrast}, {"bad-ink", "sheet", textContrast},
			{"servers", "sheet", textContrast}, {"servers", "faint", textContrast}, // also lines that were passed on
			{"clients", "sheet", lineContrast},
		} {
			front, ok1 := colors[pair.front]
			back, ok2 := colors[pair.back]
			if !ok1 || !ok2 {
				t.Fatalf("%s: no color %s or %s", name, pair.front, pair.back)
			}
			contrast := (max(front, back) + 0.05) / (min(front, back) + 0.05)
			if contrast < pair.least {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, pair.front, pair.back, contrast, pair.least)
			}
		}
	}
}

var variable = regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`)

// luminances reads the colors of a style sheet, as WCAG weighs them.
func luminances(t *testing.T, css string) map[string]float64 {
	t.Helper()
	colors := map[string]float64{}
	for _, m := range variable.FindAllStringSubmatch(css, -1) {
		rgb, err := strconv.ParseUint(m[2], 16, 32)
		if err != nil {
			t.Fatal(err)
		}
		weigh := func(shift int, weight float64) float64 {
			c := float64(rgb>>shift&0xff) / 255
			if c <= 0.04045 {
				return weight * c / 12.92
			}
			return weight * math.Pow((c+0.055)/1.055, 2.4)
		}
		colors[m[1]] = weigh(16, 0.2126) + weigh(8, 0.7152) + weigh(0, 0.0722)
	}
	return colors
}
