package audit

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// smallDisk mounts 128 KiB of memory, about half of it taken by a file.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting a small file system takes root")
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=128k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	ballast = filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 60<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir, ballast
}

// TestDiskThatIsFull fills a small disk for real.
func TestDiskThatIsFull(t *testing.T) {
	t.Parallel()
	dir, ballast := smallDisk(t)
	path := filepath.Join(dir, "json")
	l, j := open(t, Options{JSON: path})
	n := 0
	for ; n < 1000; n++ { // four times what there is place for
		l.Write(numbered(n))
	}
	eventually(t, "the disk is full", func() bool { return errors.Is(l.Failing(), unix.ENOSPC) })
	full := entries(t, path) // whole lines alone
	if len(full) == 0 || len(full) >= n {
		t.Fatalf("%d lines on the full disk", len(full))
	}
	for ; n < 1000+queueSize+5000; n++ { // more than can wait
		l.Write(numbered(n))
	}
	lost := l.Dropped()
	if lost == 0 || n-len(full)-int(lost) < queueSize {
		t.Fatalf("%d events, %d lines, %d dropped: %d can wait", n, len(full), lost, queueSize)
	}
	if diff := cmp.Diff(full, entries(t, path)); diff != "" {
		t.Errorf("the file has changed while it was full (-want +got):\n%s", diff)
	}

	// There is place again. Nobody writes an event.
	if err := errors.Join(os.Remove(ballast), unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is well again", func() bool { return l.Failing() == nil && len(entries(t, path)) > n-int(lost) })
	got := entries(t, path)
	for i, e := range got[:len(got)-1] {
		if e.Session != i {
			t.Fatalf("line %d is event %d", i, e.Session)
		}
	}
	if diff := cmp.Diff(entry{Event: "dropped", Events: lost}, got[len(got)-1]); diff != "" {
		t.Errorf("last line (-want +got):\n%s", diff)
	}
	if len(got)-1+int(lost) != n || l.Dropped() != lost {
		t.Errorf("%d lines and %d dropped, want %d in all", len(got)-1, l.Dropped(), n)
	}
	for _, message := range []string{"cannot be written: events wait", "events are dropped", "the audit file is written again", "events are written again"} {
		if c := j.count(message); c != 1 {
			t.Errorf("the log says %q %d times, want once", message, c)
		}
	}
}

// TestFileThatMayOnlyGrow: what is written of a line cannot be taken back. The
// line is ended, the file says so, and it comes again whole.
func TestFileThatMayOnlyGrow(t *testing.T) {
	t.Parallel()
	dir, ballast := smallDisk(t)
	path := filepath.Join(dir, "json")
	l, _ := open(t, Options{JSON: path})
	appendOnly(t, path)
	const events = 1000
	for n := range events {
		l.Write(numbered(n))
	}
	eventually(t, "the disk is full", func() bool { return errors.Is(l.Failing(), unix.ENOSPC) })
	if err := errors.Join(os.Remove(ballast), unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is well again", func() bool { return l.Failing() == nil })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	next, cut, wasCut := 0, 0, false
	for line := range bytes.Lines(text) {
		var e entry
		if bad := json.Unmarshal(line, &e) != nil; bad || wasCut {
			if bad == wasCut || wasCut && e.Event != "torn" {
				t.Fatalf("a cut line, and then %q", line)
			}
			if wasCut = bad; bad {
				cut++
			}
			continue
		}
		if e.Session != next {
			t.Fatalf("event %d, want %d", e.Session, next)
		}
		next++
	}
	if cut != 1 || next != events {
		t.Errorf("%d lines are cut and %d whole, want 1 and %d", cut, next, events)
	}
}

// appendFlag is FS_APPEND_FL of linux/fs.h.
const appendFlag = 0x20

// appendOnly does what chattr +a does.
func appendOnly(t *testing.T, path string) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, appendFlag); err != nil {
		t.Fatalf("set the flag: %v", err)
	}
}

// TestFullFromTheBeginning needs no root: /dev/full takes nothing.
func TestFullFromTheBeginning(t *testing.T) {
	l, _ := open(t, Options{JSON: "/dev/full"})
	const events = 20
	for n := range events {
		l.Write(numbered(n))
	}
	eventually(t, "it fails", func() bool { return errors.Is(l.Failing(), unix.ENOSPC) })
	if l.Dropped() != 0 {
		t.Errorf("%d dropped while they can wait", l.Dropped())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if l.Dropped() != events {
		t.Errorf("%d dropped in the end, want %d", l.Dropped(), events)
	}
}

func TestRemovedFileIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "json")
	l, _ := open(t, Options{JSON: path})
	l.Write(numbered(1))
	eventually(t, "the first line", func() bool { return len(entries(t, path)) == 1 })
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	l.Write(numbered(2))
	eventually(t, "it fails", func() bool { return errors.Is(l.Failing(), os.ErrNotExist) })
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is well again", func() bool { return l.Failing() == nil })
	if diff := cmp.Diff([]entry{{Event: "transfer", Session: 2}}, entries(t, path)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
