package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab/bench/stand"

	"github.com/google/nftables"
)

func TestARunKeepsItsFolderFromOthers(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	one, removeOne, err := workDir()
	if err != nil {
		t.Fatal(err)
	}
	two, removeTwo, err := workDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{one, two} {
		if _, err := os.Stat(dir); err != nil {
			t.Error(err)
		}
	}
	removeOne()
	removeTwo()
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("%s is left", left)
	}
}

// However a run ends in the middle, its processes end, nobody is left in its
// namespaces (and with them their rules go), and the host's rules are as before.
func TestInterruptedRunLeavesNothing(t *testing.T) {
	o := one(t, stand.FTPGate)
	program, err := o.daemon(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	before := hostTables(t)
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGKILL} {
		t.Run(signal.String(), func(t *testing.T) {
			tag := fmt.Sprintf("BENCH_TEST=%s.%d.%d", t.Name(), os.Getpid(), time.Now().UnixNano())
			cmd, files := startRun(t, tag, program)
			family := withTag(t, tag)
			if len(family) < 5 { // itself, a server, two generators, the daemon
				t.Errorf("only %d processes run", len(family))
			}
			namespaces := networks(family)
			if len(namespaces) < 4 { // the host's and three
				t.Errorf("they are in %d network namespaces only", len(namespaces))
			}
			delete(namespaces, network("self"))

			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its status is none of this test's
			eventually(t, "no process is left", func() string { return strings.Join(withTag(t, tag), " ") })
			eventually(t, "nobody is in its namespaces", func() string { return inhabited(t, namespaces) })
			if signal == syscall.SIGKILL { // its folder is for the next run to remove
				t.Setenv("TMPDIR", files)
				_, remove, err := workDir()
				if err != nil {
					t.Fatal(err)
				}
				remove()
			}
			if left, _ := filepath.Glob(filepath.Join(files, "*")); len(left) > 0 {
				t.Errorf("%s is left", left)
			}
		})
	}
	if after := hostTables(t); after != before {
		t.Errorf("the host's tables were %q and are %q", before, after)
	}
}

// startRun starts a long run and returns when it measures.
func startRun(t *testing.T, tag, program string) (cmd *exec.Cmd, files string) {
	t.Helper()
	files = t.TempDir()
	cmd = exec.Command("/proc/self/exe", "bench", "--kinds", "forward,kernel,ftpgate", "--rounds", "1000", "--ftpgate", program)
	cmd.Env = append(os.Environ(), tag, "TMPDIR="+files)
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // after a failure; otherwise it has ended
	lines := bufio.NewScanner(progress)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "round 1 ") {
			go io.Copy(io.Discard, progress) // ends with the run
			return cmd, files
		}
	}
	t.Fatalf("it ended before it measured: %v", cmd.Wait())
	return nil, ""
}

// withTag returns the living processes with the tag in their environment.
func withTag(t *testing.T, tag string) []string {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var pids []string
	for _, name := range all {
		// What cannot be read has ended.
		if env, _ := os.ReadFile(name); strings.Contains(string(env), tag) {
			pids = append(pids, filepath.Base(filepath.Dir(name)))
		}
	}
	return pids
}

// network names the network namespace of a process.
func network(pid string) string {
	name, _ := os.Readlink("/proc/" + pid + "/ns/net") // "" for one that has ended
	return name
}

func networks(pids []string) map[string]bool {
	all := map[string]bool{}
	for _, pid := range pids {
		all[network(pid)] = true
	}
	return all
}

// inhabited names a process that is in one of the namespaces, or holds it open.
func inhabited(t *testing.T, namespaces map[string]bool) string {
	t.Helper()
	for _, pattern := range []string{"/proc/[0-9]*/task/*/ns/net", "/proc/[0-9]*/fd/*"} {
		links, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, link := range links {
			if to, _ := os.Readlink(link); namespaces[to] {
				return link + " is " + to
			}
		}
	}
	return ""
}

func hostTables(t *testing.T) string {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	tables, err := c.ListTables()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, table := range tables {
		names = append(names, table.Name)
	}
	return strings.Join(names, " ")
}

// eventually waits until nothing is in the way.
func eventually(t *testing.T, what string, inTheWay func() string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); ; <-tick.C {
		left := inTheWay()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still not true: %s: %s", what, left)
		}
	}
}
