// Package procfs finds the process behind a socket, so that an error message
// can name who is in the way. All of it is best effort: without the right to
// look at the processes of others, no holder of a socket is found.
package procfs

import (
	"errors"
	"fmt"
	"io/fs"
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
		return Process{guess, Program(guess)}, true
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, path := range processes {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err == nil && holds(pid, want) {
			return Process{pid, Program(pid)}, true
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

// Hidden returns a process whose sockets we have no right to look at.
func Hidden(pid int) (p Process, ok bool) {
	_, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid)) // takes the right that its descriptors take
	if !errors.Is(err, fs.ErrPermission) {
		return Process{}, false
	}
	return Process{pid, Program(pid)}, true
}

// Program returns the name of a process, "a process" if that cannot be known.
// It takes no right.
func Program(pid int) string {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return "a process"
	}
	return strings.TrimSpace(string(name))
}
