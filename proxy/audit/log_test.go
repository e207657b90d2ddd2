package audit

import (
	"bufio"
	"bytes"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// eventually waits for a condition.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 10 s: %s", what)
		}
	}
}

// journal is the daemon's own log, for tests to read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) count(message string) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Count(j.text.String(), message)
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

// open opens a log for a test, and closes it in the end.
func open(t testing.TB, o Options) (*Log, *journal) {
	t.Helper()
	j := &journal{}
	o.Logger = j.logger()
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // again, for those that test it
	return l, j
}

// entry is what tests read of a line.
type entry struct {
	Event   string
	Session int
	Events  uint64
}

// entries reads a log. Every line must be JSON.
func entries(t testing.TB, path string) []entry {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var all []entry
	for line := range bytes.Lines(text) {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("%s: a line that is none: %q (%v)", path, line, err)
		}
		all = append(all, e)
	}
	return all
}

// numbered is an event with a number to know it by.
func numbered(n int) Event {
	e := download
	e.Session = uint64(n)
	return e
}

func TestBothFilesHaveTheirLines(t *testing.T) {
	dir := t.TempDir()
	o := Options{JSON: filepath.Join(dir, "json"), Xferlog: filepath.Join(dir, "xferlog")}
	l, _ := open(t, o)
	for _, tt := range lineTests[:12] {
		l.Write(tt.event)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var want, wantXfer []byte
	for _, tt := range lineTests[:12] {
		want = append(want, line(tt.name, tt.want)...)
		wantXfer = appendXferlog(wantXfer, tt.event, time.Local)
	}
	for path, want := range map[string][]byte{o.JSON: want, o.Xferlog: wantXfer} {
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&^0o640 != 0 {
			t.Errorf("%s: %v, %v: others may read it", path, info.Mode(), err)
		}
	}
	if l.Write(download); l.Dropped() != 1 {
		t.Errorf("%d dropped after the end, want 1", l.Dropped())
	}
}

func TestNilLogTakesNothing(t *testing.T) {
	var l *Log
	l.Write(download)
	if !l.Off() || l.Dropped() != 0 || l.Failing() != nil || l.Reopen() != nil || l.Close() != nil {
		t.Error("a nil log has something to say")
	}
}

func TestLineIsThereAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "json")
	l, _ := open(t, Options{JSON: path})
	l.Write(download)
	eventually(t, "the line is in the file", func() bool { return len(entries(t, path)) == 1 })
}

func TestOpenSaysWhatToDo(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{Options{JSON: dir + "/none/json"}, "audit.json: open " + dir + "/none/json: no such file or directory: make the folder: mkdir -p -m 0750 " + dir + "/none"},
		{Options{JSON: dir + "/json", Xferlog: dir}, "audit.xferlog: open " + dir + ": is a directory: write the path of a file"},
		{Options{JSON: fifo(t)}, "no such device or address: nobody reads this FIFO"},
	} {
		l, err := Open(tt.o)
		if err == nil || l != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v\nwant %s", err, tt.want)
		}
	}
}

func TestReconfigure(t *testing.T) {
	dir := t.TempDir()
	first, second, xferlog := filepath.Join(dir, "1"), filepath.Join(dir, "2"), filepath.Join(dir, "xferlog")
	l, _ := open(t, Options{JSON: first})
	l.Write(numbered(1))
	if err := l.Reconfigure(Options{JSON: second, Xferlog: dir + "/none/x"}); err == nil {
		t.Error("no error for a folder that is not there")
	}
	l.Write(numbered(2)) // nothing has changed
	if err := l.Reconfigure(Options{JSON: second, Xferlog: xferlog}); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(3))
	if err := l.Reconfigure(Options{Xferlog: xferlog}); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(4))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Reconfigure(Options{}); err == nil {
		t.Error("a closed log was opened again")
	}
	for path, want := range map[string]int{first: 2, second: 1} {
		if got := len(entries(t, path)); got != want {
			t.Errorf("%s has %d lines, want %d", path, got, want)
		}
	}
	file, err := os.Open(xferlog)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for s := bufio.NewScanner(file); s.Scan(); n++ {
	}
	if n != 2 {
		t.Errorf("xferlog has %d lines, want 2", n)
	}
}

// TestLineThatPowerCut ends a line that another life of the daemon began, and says so.
func TestLineThatPowerCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "json")
	if err := os.WriteFile(path, []byte(`{"time":"2026-11-21T04:0`), 0o640); err != nil {
		t.Fatal(err)
	}
	l, _ := open(t, Options{JSON: path})
	if err := l.Reopen(); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	if len(lines) != 4 || !strings.Contains(lines[1], `"event":"torn"}`) || !strings.Contains(lines[2], `"session":1,`) || lines[3] != "" {
		t.Errorf("%q", lines)
	}
}
