// Package procfs finds the process behind a socket, so that an error message
// can name who is in the way. All of it is best effort: without the right to
// look at the processes of others, nobody is found.
package procfs

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is a process that holds a socket.
type Process struct {
	PID     int
	Program string
}

// Holder returns a process that has the socket with this inode open. It looks
// first at the process guess.
func Holder(inode uint64, guess int) (p Process, ok bool) {
	want := fmt.Sprintf("socket:[%d]", inode)
	if holds(guess, want) {
		return Process{guess, program(guess)}, true
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err == nil && holds(pid, want) {
			return Process{pid, program(pid)}, true
		}
	}
	return Process{}, false
}

func holds(pid int, socket string) bool {
	descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	for _, d := range descriptors {
		if target, err := os.Readlink(d); err == nil && target == socket {
			return true
		}
	}
	return false
}

func program(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}
