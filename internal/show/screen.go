// Package show writes what the daemon says, the types of proxy/api, for people
// at a terminal. Each function writes one answer to a Screen.
//
// Be aware: most of it are words that strangers have sent. Nothing is written
// but what can be printed; the rest is escaped, so that no terminal obeys it and
// no line looks like two.
package show

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Screen is where to write.
type Screen struct {
	Out    io.Writer
	Head   string    // goes before the answer, as it is
	Width  int       // in columns; longer lines are cut. 0: whatever they take
	Height int       // in lines; what comes below is only counted. 0: whatever it takes
	Now    time.Time // to say how long ago something was; its zone is that of times of day
}

// page gathers lines, so that a screen is written at once.
type page struct {
	Screen
	b strings.Builder
}

func (s Screen) page() *page { return &page{Screen: s} }

// line writes one line of printable text, cut to the screen.
func (p *page) line(parts ...string) {
	p.b.WriteString(cut(Printable(strings.Join(parts, "")), p.Width))
	p.b.WriteByte('\n')
}

// widest is how wide prose is on a screen that is wider.
const widest = 100

// prose writes text in lines that a screen of width has room for, after an indent.
func (p *page) prose(width int, indent, text string) {
	line := ""
	for word := range strings.FieldsSeq(Printable(text)) {
		if width > 0 && line != "" && columns(indent+line+" "+word) > min(width, widest) {
			p.line(indent, line)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	p.line(indent, line)
}

// flush writes the page.
func (p *page) flush() error {
	text := p.b.String()
	if lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n"); p.Height > 1 && len(lines) > p.Height {
		kept := lines[:p.Height-1]
		text = strings.Join(kept, "") + fmt.Sprintf("… %d more", len(lines)-len(kept))
	}
	_, err := io.WriteString(p.Out, p.Head+text)
	return err
}

// at is a time of day; with the day, when it is not today's.
func (s Screen) at(t time.Time) string {
	t = t.In(s.Now.Location())
	if now := s.Now; t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

// ago is how long before now a time was: "3m ago" where a table has 3m00s.
func (s Screen) ago(t time.Time) string {
	span := Span(s.Now.Sub(t))
	for _, nothing := range []string{"m00s", "h00m", "d00h"} {
		if whole, ok := strings.CutSuffix(span, nothing[1:]); ok && strings.HasSuffix(span, nothing) {
			span = whole
		}
	}
	return span + " ago"
}

// Printable escapes what is not: bytes as \xNN, as the daemon does, and others
// as Go does. Among those are the marks that turn the direction of a line.
func Printable(s string) string {
	var b strings.Builder
	for i, r := range s {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD"):
			b.WriteString(`\x` + strconv.FormatUint(uint64(s[i])+0x100, 16)[1:])
		case r < ' ' || r == 0x7f:
			b.WriteString(`\x` + strconv.FormatInt(int64(r)+0x100, 16)[1:])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		}
	}
	return b.String()
}

// cut shortens a line to a width, and shows that it did.
func cut(s string, width int) string {
	if width <= 0 || columns(s) <= width {
		return s
	}
	at, used := 0, 0
	for i, r := range s {
		if used += columns(string(r)); used > width-1 {
			break
		}
		at = i + utf8.RuneLen(r)
	}
	return s[:at] + "…"
}

// columns is how wide a terminal writes a text, about.
func columns(s string) int {
	n := 0
	for _, r := range s {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
		case unicode.In(r, unicode.Han, unicode.Hangul, unicode.Hiragana, unicode.Katakana) || r >= 0x1f300 && r <= 0x1faff || r >= 0xff01 && r <= 0xff60:
			n += 2
		default:
			n++
		}
	}
	return n
}
