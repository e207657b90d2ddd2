package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"

	"golang.org/x/sys/unix"
)

// Rotated in the middle of it, the files together have each transfer once, and
// each file has whole lines alone.
func TestRecordsSurviveRotation(t *testing.T) {
	t.Parallel()
	const sessions, each, rotations = 8, 50, 5
	l := labtest.New(t, lab.Options{})
	startFTPD(t, l)
	r := newRecords(t)
	g := startGateway(t, l, "", r.config())
	var running sync.WaitGroup
	for range sessions {
		c := login(t, l.Client, gateway4)
		running.Go(func() {
			for range each {
				d, err := c.SetUp("PASV")
				if err == nil {
					_, err = c.Download(d, "RETR /zero-1K")
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	jsons, xferlogs := []string{}, []string{}
	for i := range rotations {
		begun := fmt.Sprint(i*sessions*each/rotations/2 + 1)
		eventually(t, begun+" transfers are done", func() bool {
			return atLeast(g.metric(`ftpgate_transfers_total{direction="download",result="done",service="files"}`), begun)
		})
		for _, file := range []struct {
			name string
			old  *[]string
		}{{r.json, &jsons}, {r.xferlog, &xferlogs}} {
			old := fmt.Sprintf("%s.%d", file.name, i)
			if err := os.Rename(file.name, old); err != nil {
				t.Fatal(err)
			}
			*file.old = append(*file.old, old)
		}
		g.signal(syscall.SIGHUP)
		eventually(t, "both files are there again", func() bool {
			_, err := os.Stat(r.json)
			_, err2 := os.Stat(r.xferlog)
			return err == nil && err2 == nil
		})
	}
	running.Wait()
	g.signal(syscall.SIGTERM)
	if err := g.cmd.Wait(); err != nil {
		t.Errorf("the daemon's end: %v", err)
	}
	jsons, xferlogs = append(jsons, r.json), append(xferlogs, r.xferlog)
	ids := []string{}
	for _, one := range audited(t, "transfer", jsons...) {
		ids = append(ids, one.ID)
	}
	slices.Sort(ids)
	if n := len(slices.Compact(slices.Clone(ids))); len(ids) != sessions*each || n != len(ids) {
		t.Errorf("%d records of %d transfers, want %d", len(ids), n, sessions*each)
	}
	if n := len(entries(t, xferlogs...)); n != sessions*each {
		t.Errorf("%d lines in the xferlogs, want %d", n, sessions*each)
	}
	if n := len(audited(t, "session_end", jsons...)); n != sessions {
		t.Errorf("%d sessions have their end recorded, want %d", n, sessions)
	}
	if got := audited(t, "admin", jsons...); len(got) != rotations || got[0].Action != "reload" || got[0].UID != nil {
		t.Errorf("the reloads are recorded as %+v", got)
	}
	for _, file := range slices.Concat(jsons, xferlogs) {
		text, err := os.ReadFile(file)
		if err != nil || len(text) > 0 && text[len(text)-1] != '\n' {
			t.Errorf("%s does not end with a whole line (%v)", file, err)
		}
	}
}

func atLeast(value, want string) bool {
	v, err := strconv.ParseFloat(value, 64)
	w, _ := strconv.ParseFloat(want, 64)
	return err == nil && v >= w
}

// fillable is a disk that holds little, until it is told to hold more.
func fillable(t *testing.T) (dir string, enlarge func()) {
	t.Helper()
	labtest.NeedRoot(t)
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func() {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
			t.Fatal(err)
		}
	}
}

// On a full disk transfers go on, what is not written is counted, and sessions
// are refused only if the configuration says so, until there is room again.
func TestRecordsOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir, enlarge := fillable(t)
	l := labtest.New(t, lab.Options{})
	files := ftpd.NewTree()
	if err := files.PutZeros("/1K", 1<<10); err != nil {
		t.Fatal(err)
	}
	runServer(t, l, &ftpd.Server{Files: files})
	r := records{filepath.Join(dir, "audit.json"), filepath.Join(dir, "xferlog")}
	g := prepareGateway(t, l, "")
	configure := func(onError string) {
		g.configure(r.config("on_error = \""+onError+"\"") + fmt.Sprintf(services, ""))
	}
	configure("continue")
	g.start()
	c := login(t, l.Client, gateway4)
	transfer := func(when string) {
		t.Helper()
		if _, err := c.Download(setUp(t, c, "PASV"), "RETR /1K"); err != nil {
			t.Fatalf("%s: %v", when, err)
		}
	}
	transfer("with room on the disk")
	dropped := func() string { return g.metric("ftpgate_audit_dropped_total") }
	for !atLeast(dropped(), "1") { // each refusal is two events, a few hundred are the disk, thousands may wait
		refuse(t, c, 500)
	}
	if _, err := os.Stat(r.json); err != nil || !strings.Contains(g.log.String(), "the audit file cannot be written") {
		t.Errorf("the log does not say that the disk is full (%v)", err)
	}
	before := dropped()
	transfer("on the full disk")
	c.Close()
	c = login(t, l.Client, gateway4)
	transfer("in a new session")
	eventually(t, "what is not written is counted", func() bool { return dropped() != before && atLeast(dropped(), before) })

	configure("refuse")
	g.signal(syscall.SIGHUP)
	eventually(t, "new sessions are refused", func() bool {
		other, err := ftpc.Dial(l.Client, gateway4)
		if err == nil {
			other.Close()
		}
		return err != nil && strings.Contains(err.Error(), "421 ")
	})
	transfer("in a session from before")
	enlarge()
	eventually(t, "new sessions are let in", func() bool {
		other, err := ftpc.Dial(l.Client, gateway4)
		if err == nil {
			other.Close()
		}
		return err == nil
	})
	eventually(t, "the log says what it lacks", func() bool {
		lost := 0
		for _, d := range audited(t, "dropped", r.json) {
			lost += d.Events
		}
		return lost > 0 && atLeast(dropped(), fmt.Sprint(lost))
	})
	transfer("with room again")
	last := func() line {
		all := audited(t, "transfer", r.json)
		return all[len(all)-1]
	}
	eventually(t, "it is recorded", func() bool { return last().Verb == "RETR" && last().Outcome == "done" })
}

// refuse has the gateway refuse commands, many at once.
func refuse(t *testing.T, c *ftpc.Client, n int) {
	t.Helper()
	const batch = 50
	command := strings.TrimSuffix(strings.Repeat("PORT 127,0,0,9,200,1\r\n", batch), "\r\n")
	for range n / batch {
		err := c.Send(command)
		for range batch {
			r, readErr := c.Read()
			if err = errors.Join(err, readErr); err != nil || r.Code != 504 {
				t.Fatalf("%v, %v", r, err)
			}
		}
	}
}
