package cause

import (
	"os"
	"strings"
	"testing"
)

// The manual has each cause, and each has something to do about it.
func TestTheManualHasAllCauses(t *testing.T) {
	text, err := os.ReadFile("../../docs/causes.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range All {
		if strings.Count(string(text), "\n### `"+string(c)+"`\n") != 1 {
			t.Errorf("docs/causes.md has no part on %s, or two", c)
		}
		if advice[c] == "" {
			t.Errorf("%s has no advice", c)
		}
	}
	if n := strings.Count(string(text), "\n### "); n != len(All) {
		t.Errorf("docs/causes.md has %d parts, and there are %d causes", n, len(All))
	}
}
