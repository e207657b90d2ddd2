package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var example = Report{
	Findings: []Finding{
		{"forwarding", Error, "net/ipv4/ip_forward", "it is off", "nothing passes", []string{"turn it on"}, "think first", "write it down"},
		{"backend", Warning, "files 10.0.0.5:21", "it says \x1b[2J", "it must not", nil, "look at it", ""},
	},
	Unexamined: []Unexamined{{"mark_taken", "no right"}},
}

func TestReportForPeople(t *testing.T) {
	want := `ERROR forwarding: it is off.
  why   nothing passes
  mend  turn it on
  keep  write it down
  also  think first

WARNING backend: it says  [2J.
  why   it must not
  mend  look at it

not examined: mark_taken: no right

` + fmt.Sprintf("1 error, 1 warning in %d checks, 1 of them not made in full.\n", len(checks))
	var b strings.Builder
	if err := example.Write(&b); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// The names of JSON are documented; scripts count on them.
func TestReportForPrograms(t *testing.T) {
	want := `{
  "findings": [
    {
      "check": "forwarding",
      "severity": "error",
      "about": "net/ipv4/ip_forward",
      "seen": "it is off",
      "why": "nothing passes",
      "mend": [
        "turn it on"
      ],
      "edit": "think first",
      "keep": "write it down"
    },
    {
      "check": "backend",
      "severity": "warning",
      "about": "files 10.0.0.5:21",
      "seen": "it says \u001b[2J",
      "why": "it must not",
      "edit": "look at it"
    }
  ],
  "unexamined": [
    {
      "check": "mark_taken",
      "why": "no right"
    }
  ]
}`
	got, err := json.MarshalIndent(example, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

// docs/doctor.md has every check, with its severities, and no other.
func TestChecksAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/doctor.md")
	if err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, c := range checks {
		var severities []string
		for _, s := range c.severities {
			severities = append(severities, string(s))
		}
		want = append(want, fmt.Sprintf("| `%s` | %s | %s |", c.name, c.about, strings.Join(severities, ", ")))
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "| `") {
			got = append(got, strings.TrimSpace(line))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}
