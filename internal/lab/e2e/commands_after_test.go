package e2e

import (
	"os"
	"slices"
	"strings"
)

// recorded checks what the audit log has of all this.
func (o *office) recorded() {
	o.t.Helper()
	type act struct {
		action, outcome string
		uid             int
	}
	want := []act{
		{"close-all", "done", 0}, {"kill", "done", 0}, {"kill", "done", 0}, {"drain", "done", nobody}, {"undrain", "done", 0},
		{"reload", "done", 0}, {"reload", "failed", 0},
	}
	var got []act
	eventually(o.t, "all is recorded", func() bool {
		got = nil
		for _, a := range audited(o.t, "admin", o.records.json) {
			uid := -1
			if a.UID != nil {
				uid = *a.UID
			}
			got = append(got, act{a.Action, a.Outcome, uid})
		}
		return len(got) >= len(want)
	})
	if !slices.Equal(got, want) {
		o.t.Errorf("the administrators' acts are recorded as %v, want %v", got, want)
	}
}

// discreet looks for the password.
func (o *office) discreet() {
	o.t.Helper()
	texts := map[string]string{"a command": o.said.String(), "the log": o.log.String()}
	for _, file := range []string{o.records.json, o.records.xferlog} {
		b, err := os.ReadFile(file)
		if err != nil || len(b) == 0 {
			o.t.Errorf("%s: %d bytes, %v", file, len(b), err)
		}
		texts[file] = string(b)
	}
	for where, text := range texts {
		if strings.Contains(text, watchword) {
			o.t.Errorf("%s has the password:\n%s", where, text)
		}
	}
}
