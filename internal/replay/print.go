package replay

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Printer writes events: for people, or as JSON, one object a line.
type Printer struct {
	w    *bufio.Writer
	json *json.Encoder // nil: for people
	err  error
}

// NewPrinter returns a Printer that writes to w. It is done after Flush.
func NewPrinter(w io.Writer, asJSON bool) *Printer {
	p := &Printer{w: bufio.NewWriter(w)}
	if asJSON {
		p.json = json.NewEncoder(p.w)
		p.json.SetEscapeHTML(false)
	}
	return p
}

// Flush writes what is left, and returns the first error of all writing.
func (p *Printer) Flush() error {
	if err := p.w.Flush(); p.err == nil {
		p.err = err
	}
	return p.err
}

// Print writes an event.
func (p *Printer) Print(e Event) {
	if p.json != nil {
		if err := p.json.Encode(e); p.err == nil {
			p.err = err
		}
		return
	}
	switch {
	case e.Session != nil:
		p.session(e.Session)
	case e.Line != nil:
		p.line(e.Line)
	case e.Note != nil:
		p.note(e.Note)
	case e.Summary != nil:
		p.summary(e.Summary)
	}
}

func (p *Printer) session(s *Session) {
	if s.Number > 1 {
		p.printf("\n")
	}
	p.printf("Session %d: client %s, gateway %s and %s, server %s, service %s", s.Number, s.Client, s.Gateway, s.Inside, s.Server, s.Service)
	if s.Began != nil {
		p.printf(", began %s", s.Began.UTC().Format(time.RFC3339))
	}
	p.printf("\n\n")
}

// margin is the width of a line's number and of who says it.
const margin = 9

func (p *Printer) line(l *Line) {
	who := "C:"
	if l.From == server.String() {
		who = "S:"
	}
	again := ""
	if l.again {
		again = "   (which waited)"
	}
	p.printf("%6d %s %s%s\n", l.At, who, l.Text, again)
	for _, did := range l.Did {
		p.printf("%*s %s\n", margin+3, "", did)
	}
}

func (p *Printer) note(n *Note) {
	switch {
	case n.Session == 0 && !n.Unread:
		p.printf("\n%s.\n", n.Text)
	case n.At == 0:
		p.printf("%*s %s\n", margin-2, "--", n.Text)
	default:
		p.printf("%6d -- %s\n", n.At, n.Text)
	}
}

func (p *Printer) summary(s *Summary) {
	p.printf("\n%s, %d of the client and %d of the server in %s.\n", number(s.Client+s.Server, "line"), s.Client, s.Server, number(s.Sessions, "session"))
	p.printf("%s: %d done, %d failed, %d unfinished. %s.\n", number(s.Done+s.Failed+s.Open, "transfer"), s.Done, s.Failed, s.Open, number(s.Pinholes, "pinhole"))
	if s.Pinholes > 0 {
		p.printf("Leased ports are the first free ones here; the gateway takes unpredictable ones.\n")
	}
	var reasons []string
	refusals := 0
	for _, reason := range slices.Sorted(maps.Keys(s.Refusals)) {
		refusals += s.Refusals[reason]
		reasons = append(reasons, fmt.Sprintf("%s %d", reason, s.Refusals[reason]))
	}
	p.printf("Refused: %d", refusals)
	if refusals > 0 {
		p.printf(" (%s)", strings.Join(reasons, ", "))
	}
	p.printf(". Sessions that the gateway ends: %d.\n", s.Ended)
	for _, more := range []struct {
		n    int
		unit string
		what string
	}{
		{s.LeftOut, "line", "of the server would not have been said"},
		{s.NotSeen, "line", "the gateway would not see"},
		{s.Missing, "byte", "missing in the recording"},
		{s.Unread, "line", "could not be read"},
	} {
		if more.n > 0 {
			p.printf("%s %s.\n", number(more.n, more.unit), more.what)
		}
	}
}

func (p *Printer) printf(format string, args ...any) {
	if _, err := fmt.Fprintf(p.w, format, args...); p.err == nil {
		p.err = err
	}
}
