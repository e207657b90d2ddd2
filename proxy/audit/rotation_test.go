package audit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRotation renames the file under load, as logrotate does, and then says so.
func TestRotation(t *testing.T) {
	const events, each = 10_000, 1000
	path := filepath.Join(t.TempDir(), "json")
	l, _ := open(t, Options{JSON: path})
	var files []string
	rotated := make(chan int)
	go func() {
		for n := range events {
			if n%each == each/2 {
				rotated <- n
			}
			l.Write(numbered(n))
		}
		close(rotated)
	}()
	var mark []int // of each rotation: what was written before it
	for n := range rotated {
		mark = append(mark, n)
		files = append(files, fmt.Sprintf("%s.%d", path, len(files)))
		if err := os.Rename(path, files[len(files)-1]); err != nil {
			t.Error(err)
		}
		if err := l.Reopen(); err != nil {
			t.Error(err)
		}
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
			t.Errorf("no file after Reopen: %v", err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	next := 0
	for i, name := range append(files, path) {
		for _, e := range entries(t, name) {
			if e.Session != next {
				t.Fatalf("%s: event %d, want %d", name, e.Session, next)
			}
			next++
		}
		if i < len(mark) && next < mark[i] {
			t.Errorf("%s ends with event %d, but %d were written before it was renamed and opened again", name, next, mark[i])
		}
	}
	if next != events || l.Dropped() != 0 {
		t.Errorf("%d events in the files and %d dropped, want all %d", next, l.Dropped(), events)
	}
}

// TestNothingGoesToTheOldFile: who rotates may compress it when Reopen has returned.
func TestNothingGoesToTheOldFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "json")
	l, _ := open(t, Options{JSON: path})
	l.Write(numbered(1))
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(2))
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(3))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	want := []entry{{Event: "transfer", Session: 1}, {Event: "transfer", Session: 2}}
	if diff := cmp.Diff(want, entries(t, path+".1")); diff != "" {
		t.Errorf("old file (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]entry{{Event: "transfer", Session: 3}}, entries(t, path)); diff != "" {
		t.Errorf("new file (-want +got):\n%s", diff)
	}
}

// TestCopyTruncate is the other way of logrotate: the file is copied and emptied.
func TestCopyTruncate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "json")
	l, _ := open(t, Options{JSON: path})
	l.Write(numbered(1))
	eventually(t, "the first line", func() bool { return len(entries(t, path)) == 1 })
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(2))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]entry{{Event: "transfer", Session: 2}}, entries(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
