package lab_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// hold is the part of a program that builds a lab, starts servers in it and is then killed.
func hold() int {
	l, err := lab.New(lab.Options{SecondClient: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	server := l.Server.Command(context.Background(), "sh", "-c", familyScript)
	server.Forks = true
	client := l.Client.Command(context.Background(), "sleep", "1002")
	for _, cmd := range []*lab.Cmd{server, client} {
		if err := cmd.Start(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}

func TestKilledHolderLeavesNothing(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	holder := exec.Command("/proc/self/exe")
	tag := newFamily(t)
	holder.Env = append(os.Environ(), "LAB_TEST_PART=holder", string(tag))
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the holder said %q (%v), want ready", line, err)
	}
	waitFor(t, func() error { // holder, init, shell, two children; and one without a PID namespace
		if n := len(tag.pids(t)); n < 6 {
			return fmt.Errorf("%d processes, want 6", n)
		}
		return nil
	})
	if n := placeWitnesses(t, l.Client, holder.Process.Pid); n != 5 {
		t.Fatalf("the holder holds %d namespaces, want 5", n)
	}

	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // "signal: killed"
	tag.waitGone(t)
	waitFor(t, func() error { return witnesses(l.Client) })
}

// placeWitnesses joins every namespace that a process holds to the host with a veth pair. When the kernel ends such a
// namespace it ends its interfaces, and with them the other ends, which are ours to look at.
func placeWitnesses(t *testing.T, h *lab.Host, holder int) int {
	t.Helper()
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", holder))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, fd := range fds {
		if target, _ := os.Readlink(fd); !strings.HasPrefix(target, "net:[") {
			continue
		}
		ns, err := os.Open(fd)
		if err != nil {
			t.Fatal(err)
		}
		err = h.Do(func() error {
			return netlink.LinkAdd(&netlink.Veth{
				LinkAttrs:     netlink.LinkAttrs{Name: fmt.Sprintf("witness%d", n)},
				PeerName:      "witness",
				PeerNamespace: netlink.NsFd(ns.Fd()),
			})
		})
		ns.Close()
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// witnesses reports the namespaces that are still there.
func witnesses(h *lab.Host) error {
	return h.Do(func() error {
		links, err := netlink.LinkList()
		if err != nil {
			return err
		}
		for _, l := range links {
			if strings.HasPrefix(l.Attrs().Name, "witness") {
				return fmt.Errorf("%s is still there, and so is the namespace at its other end", l.Attrs().Name)
			}
		}
		return nil
	})
}

func TestCloseEndsProcessesAndTheirChildren(t *testing.T) {
	labtest.NeedRoot(t)
	l, err := lab.New(lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cmd := l.Server.Command(t.Context(), "sh", "-c", familyScript)
	cmd.Forks = true
	family := startFamily(t, cmd)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if pids := family.pids(t); len(pids) > 0 {
		t.Errorf("still running after Close: %v", pids)
	}
}

// familyScript makes what an FTP server makes: a child in a session of its own, out of reach of a process group's
// signals, and one that has become another user, which ends its parent-death signal. It then says that they are there.
const familyScript = `setsid sleep 1000 &
setpriv --reuid 65534 --regid 65534 --clear-groups sleep 1001 &
echo ready; wait`

// family is a set of processes, known by a tag in their environment.
type family string

func newFamily(t *testing.T) family {
	return family("LAB_TEST_FAMILY=" + t.Name() + strconv.FormatInt(time.Now().UnixNano(), 36))
}

// startFamily starts a command that prints "ready" when its children are there.
func startFamily(t *testing.T, cmd *lab.Cmd) family {
	t.Helper()
	tag := newFamily(t)
	cmd.Env = append(os.Environ(), string(tag))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		t.Fatalf("the command said %q (%v), want ready", line, err)
	}
	waitFor(t, func() error { // init, shell, two children
		if n := len(tag.pids(t)); n < 4 {
			return fmt.Errorf("%d processes, want 4", n)
		}
		return nil
	})
	return tag
}

// pids returns the living processes of the family.
func (f family) pids(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, file := range files {
		env, err := os.ReadFile(file)
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH)
		if err != nil && !gone && !errors.Is(err, fs.ErrPermission) { // what we may not read is not ours
			t.Fatal(err)
		}
		if strings.Contains(string(env), string(f)) {
			pids = append(pids, filepath.Base(filepath.Dir(file)))
		}
	}
	return pids
}

func (f family) waitGone(t *testing.T) {
	t.Helper()
	waitFor(t, func() error {
		if pids := f.pids(t); len(pids) > 0 {
			return fmt.Errorf("still running: %v", pids)
		}
		return nil
	})
}

// waitFor polls a condition for ten seconds.
func waitFor(t *testing.T, condition func() error) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		err := condition()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}
