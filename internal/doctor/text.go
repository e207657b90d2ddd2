package doctor

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// Write is the report for people: worst first, a blank line between findings.
func (r Report) Write(w io.Writer) error {
	var b strings.Builder
	for _, f := range r.Findings {
		f.write(&b)
	}
	for _, u := range r.Unexamined {
		fmt.Fprintf(&b, "not examined: %s: %s\n", u.Check, printable(u.Why))
	}
	if len(r.Unexamined) > 0 {
		b.WriteByte('\n')
	}
	b.WriteString(r.summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func (f Finding) write(b *strings.Builder) {
	fmt.Fprintf(b, "%s %s: %s.\n", strings.ToUpper(string(f.Severity)), f.Check, printable(f.Seen))
	row := func(label, text string) {
		if text != "" {
			fmt.Fprintf(b, "  %-5s %s\n", label, printable(text))
		}
	}
	row("why", f.Why)
	for _, command := range f.Mend {
		row("mend", command)
	}
	row("keep", f.Keep)
	row(map[bool]string{false: "mend", true: "also"}[len(f.Mend) > 0], f.Edit)
	b.WriteByte('\n')
}

// printable keeps what servers and files say on one line, and from the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, s)
}

func (r Report) summary() string {
	n := map[Severity]int{}
	for _, f := range r.Findings {
		n[f.Severity]++
	}
	var parts []string
	for _, s := range []Severity{Error, Warning, Notice} {
		switch n[s] {
		case 0:
		case 1:
			parts = append(parts, "1 "+string(s))
		default:
			parts = append(parts, fmt.Sprintf("%d %ss", n[s], s))
		}
	}
	if parts == nil {
		parts = []string{"nothing found"}
	}
	return fmt.Sprintf("%s in %d checks, %d of them not made in full.", strings.Join(parts, ", "), len(checks), len(r.Unexamined))
}
