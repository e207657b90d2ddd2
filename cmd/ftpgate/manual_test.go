package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what the commands print into docs/cli.md; read the diff")

const manual = "../../docs/cli.md"

// TestManual runs every command that docs/cli.md shows, against a daemon that
// is always the same, and holds what it prints against what the page shows.
func TestManual(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	socket := serve(t, example())
	var page strings.Builder
	commands, inConsole := 0, false
	for line := range strings.Lines(string(text)) {
		command, isCommand := strings.CutPrefix(line, "$ ftpgate ")
		switch {
		case strings.HasPrefix(line, "```"):
			inConsole = line == "```console\n"
		case inConsole && isCommand:
			commands++
			line += typed(t, socket, strings.Fields(command))
		case inConsole:
			continue // was printed when the page was written
		}
		page.WriteString(line)
	}
	if *rewrite {
		if err := os.WriteFile(manual, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(text), page.String()); diff != "" {
		t.Errorf("the page shows something else than the commands print, -page +printed:\n%s", diff)
	}
	if want := 12; commands < want {
		t.Errorf("the page has %d commands, want %d or more", commands, want)
	}
}

// typed returns what a terminal would show of a command and its end.
func typed(t *testing.T, socket string, args []string) string {
	t.Helper()
	var out bytes.Buffer
	if status := execute(append(args, "--socket", socket), &out, &out); status == exitUsage {
		t.Errorf("%v is no use of the command: %s", args, out.String())
	}
	return strings.ReplaceAll(out.String(), socket, defaultSocket)
}

// Every command that asks the daemon has its place on the page.
func TestManualHasEveryCommand(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range newRoot().Commands() {
		if c.Flags().Lookup("socket") != nil && !strings.Contains(string(text), "\n$ ftpgate "+c.Name()) {
			t.Errorf("docs/cli.md shows no ftpgate %s", c.Name())
		}
	}
}
