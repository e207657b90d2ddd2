package stand

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// HasProcess reports whether the gateway has memory of its own to look at.
func (st *Stand) HasProcess() bool { return st.gateway != nil }

// PSS is the memory of the gateway's processes, in KiB, each shared page
// divided among those who share it.
func (st *Stand) PSS() (int64, error) {
	pids, err := descendants(st.gateway.Process.Pid)
	if err != nil {
		return 0, err
	}
	var sum int64
	for _, pid := range pids {
		kib, err := pss(pid)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
			continue // it has just ended
		}
		if err != nil {
			return 0, err
		}
		sum += kib
	}
	return sum, nil
}

// CPU is the processor time that the gateway's processes have had, in seconds,
// those that have ended included. What the kernel does for them as packets come
// in is in it only as far as it does it in their time.
func (st *Stand) CPU() (float64, error) {
	if !st.HasProcess() {
		return 0, nil
	}
	pids, err := descendants(st.gateway.Process.Pid)
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, pid := range pids {
		fields, err := stat(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue // it has just ended
		}
		for _, field := range fields[11:15] { // utime, stime, cutime, cstime: proc_pid_stat(5)
			n, err := strconv.ParseInt(field, 10, 64)
			if err != nil {
				return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
			}
			ticks += n
		}
	}
	const perSecond = 100
	return float64(ticks) / perSecond, nil
}

// descendants returns a process and all that it started, directly or not.
func descendants(root int) ([]int, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return nil, err
	}
	children := map[int][]int{}
	for _, name := range stats {
		fields, err := stat(name)
		if err != nil {
			continue // it has just ended
		}
		pid, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		parent, _ := strconv.Atoi(fields[1])
		children[parent] = append(children[parent], pid)
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, children[all[i]]...)
	}
	return all, nil
}

// stat reads a process's stat from its state on. The name before that may hold
// anything, ")" too.
func stat(name string) ([]string, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return nil, fmt.Errorf("%s: %q", name, text)
	}
	return fields, nil
}

// pss reads one process's, in KiB.
func pss(pid int) (int64, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), "Pss:"); ok {
			return strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		}
	}
	if err := lines.Err(); err != nil {
		return 0, err
	}
	return 0, fmt.Errorf("process %d has no Pss", pid)
}

// sockets counts the TCP sockets in a process's network namespace, without
// those in TIME_WAIT.
func sockets(pid int) (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/sockstat", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "TCP:" {
			return strconv.Atoi(fields[2])
		}
	}
	return 0, fmt.Errorf("no TCP in the sockstat of process %d", pid)
}
