package audit

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fifo makes a FIFO that nobody reads.
func fifo(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// reader opens a FIFO to read.
func reader(t testing.TB, path string) *os.File {
	t.Helper()
	r, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// stick fills a FIFO that is open but not read, until its writer stands still.
func stick(t *testing.T) (l *Log, j *journal, r *os.File, written int) {
	t.Helper()
	path := fifo(t)
	r = reader(t, path)
	l, j = open(t, Options{JSON: path})
	began := time.Now()
	for ; l.Dropped() == 0; written++ {
		l.Write(numbered(written))
	}
	// The queue is full, and the FIFO holds a part of it at most.
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d events took %v: Write has waited", written, took)
	}
	return l, j, r, written
}

func TestWriteNeverWaits(t *testing.T) {
	t.Parallel()
	l, j, r, written := stick(t)
	const more = 1000
	began := time.Now()
	for n := range more {
		l.Write(numbered(written + n))
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("%d events, most of which find no place, took %v", more, took)
	}
	if err := l.Failing(); err == nil || !strings.Contains(err.Error(), "audit.json: ") {
		t.Errorf("failing: %v", err)
	}
	if n := j.count("events are dropped"); n != 1 {
		t.Errorf("the log says %d times that events are dropped, want once", n)
	}

	// Somebody reads again: all that was taken comes, then how many were not.
	lost := l.Dropped()
	var got []entry
	if err := r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for d := json.NewDecoder(r); len(got) == 0 || got[len(got)-1].Event != "dropped"; {
		var e entry
		if err := d.Decode(&e); err != nil {
			t.Fatalf("after %d lines: %v", len(got), err)
		}
		got = append(got, e)
	}
	last := len(got) - 1
	for i, e := range got[1:last] {
		if before := got[i].Session; e.Session <= before {
			t.Fatalf("event %d comes after %d", e.Session, before)
		}
	}
	if last+int(lost) != written+more || got[last].Events != lost {
		t.Errorf("%d of %d events came, %d were dropped and the file says %d", last, written+more, lost, got[last].Events)
	}
	eventually(t, "it is well again", func() bool { return l.Failing() == nil })
	if n := j.count("events are written again"); n != 1 {
		t.Errorf("the log says %d times that it goes on, want once:\n%s", n, j.text.String())
	}
}

func TestWriteThatDoesNotEndIsAFailure(t *testing.T) {
	t.Parallel()
	path := fifo(t)
	reader(t, path)
	l, _ := open(t, Options{JSON: path})
	for n := range 1000 { // more than a FIFO holds, less than the queue does
		l.Write(numbered(n))
	}
	if err := l.Failing(); err != nil {
		t.Errorf("at once: %v", err)
	}
	eventually(t, "a write takes too long", func() bool {
		if l.json.writing.Load() != 0 {
			l.json.writing.Store(time.Now().Add(-stuck - time.Second).UnixNano()) // time passes
		}
		err := l.Failing()
		return err != nil && strings.Contains(err.Error(), "takes longer than")
	})
	if err := l.Reopen(); err == nil || !strings.Contains(err.Error(), "was not opened again") {
		t.Errorf("reopen: %v", err)
	}
}

func TestCloseDoesNotWaitForever(t *testing.T) {
	t.Parallel()
	l, _, r, written := stick(t)
	began := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > patience+2*time.Second {
		t.Errorf("close took %v", took)
	}
	// Each event is either in the FIFO or counted.
	var got bytes.Buffer
	if _, err := got.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	if n := lines(got.Bytes()); n+int(l.Dropped()) != written {
		t.Errorf("%d lines and %d dropped, want %d in all", n, l.Dropped(), written)
	}
}

// TestCloseWaitsOnceForBoth: two files that stand still take no longer than one.
func TestCloseWaitsOnceForBoth(t *testing.T) {
	t.Parallel()
	json, xferlog := fifo(t), fifo(t)
	reader(t, json)
	reader(t, xferlog)
	l, _ := open(t, Options{JSON: json, Xferlog: xferlog})
	for n := range 2000 { // more than a FIFO holds
		l.Write(numbered(n))
	}
	began := time.Now()
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < patience || took > 2*patience { // one after the other would take longer
		t.Errorf("close took %v, want %v", took, patience)
	}
}
