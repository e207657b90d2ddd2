package nft

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ownedError names the process that owns the table. The owner is known by its
// netlink port, which usually, but not always, is the pid.
func ownedError(t *nftables.Table) error {
	e := &OwnedError{Table: t.Name}
	if pid, ok := portHolder(t.Owner); ok {
		e.PID, e.Program = pid, program(pid)
	}
	return e
}

// portHolder finds the process that holds the netfilter socket with that port in
// this network namespace: port -> inode of the socket -> whose descriptor.
func portHolder(port uint32) (pid int, ok bool) {
	inode, ok := portInode(port)
	if !ok {
		return 0, false
	}
	want := fmt.Sprintf("socket:[%s]", inode)
	if holds(int(port), want) {
		return int(port), true
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err == nil && holds(pid, want) {
			return pid, true
		}
	}
	return 0, false
}

// portInode reads the table of netlink sockets, whose columns are
// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode.
func portInode(port uint32) (inode string, ok bool) {
	f, err := os.Open("/proc/thread-self/net/netlink")
	if err != nil {
		return "", false
	}
	defer f.Close()
	protocol, id := strconv.Itoa(unix.NETLINK_NETFILTER), strconv.FormatUint(uint64(port), 10)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		col := strings.Fields(lines.Text())
		if len(col) >= 10 && col[1] == protocol && col[2] == id {
			return col[9], true
		}
	}
	return "", false
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
