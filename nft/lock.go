package nft

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/procfs"
)

// A tableLock keeps a second process from our table, also where the kernel
// knows no owner. It is an abstract Unix socket: its name exists once in a
// network namespace, as the table's does, and goes with the process. Whoever
// connects learns from the kernel who we are, without any right.
type tableLock struct {
	listener *net.UnixListener
	done     chan struct{} // closed when answer has returned
}

// A name that is taken is tried again for a while if nobody answers: its holder
// is about to answer, or gone.
const (
	lockTries = 25
	lockPause = 20 * time.Millisecond
)

// lockTable returns an OwnedError if another process, or another Table of ours,
// has the lock. Abstract names have no permissions, so that anybody on the host
// can take one: what only another user holds, or nobody answers for, does not
// keep us out. There is no lock then, and the log says so.
func lockTable(table string, log *slog.Logger) (*tableLock, error) {
	name := lockName(table)
	for try := 1; ; try++ {
		listener, err := net.ListenUnix("unix", name)
		if err == nil {
			l := &tableLock{listener, make(chan struct{})}
			go l.answer()
			return l, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("lock the table: %w", err)
		}
		holder, err := lockHolder(name)
		switch {
		case err == nil && (holder.Uid == 0 || int(holder.Uid) == os.Geteuid()):
			return nil, heldError(table, int(holder.Pid))
		case err == nil:
			log.LogAttrs(context.Background(), slog.LevelWarn, "another user holds the lock of the table: going on without it",
				slog.String("socket", name.Name), slog.Int("pid", int(holder.Pid)), slog.Int("uid", int(holder.Uid)))
			return nil, nil
		case try == lockTries:
			log.LogAttrs(context.Background(), slog.LevelWarn, "nobody answers for the lock of the table: going on without it",
				slog.String("socket", name.Name), slog.Any("err", err))
			return nil, nil
		}
		time.Sleep(lockPause)
	}
}

// lockName is the table's own where that fits into a socket's address.
func lockName(table string) *net.UnixAddr {
	const fits = 64
	if len(table) > fits {
		table = fmt.Sprintf("%x", sha256.Sum256([]byte(table)))
	}
	return &net.UnixAddr{Net: "unix", Name: "@ftpgate/nft/" + table}
}

// answer takes what connects off the queue, which would fill up otherwise. Who
// connects has by then what he wants.
func (l *tableLock) answer() {
	defer close(l.done)
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return // released, or out of descriptors: the queue answers thousands more
		}
		_ = c.Close()
	}
}

// release lets the next one in. A table that has no lock is released too.
func (l *tableLock) release() {
	if l == nil {
		return
	}
	_ = l.listener.Close()
	<-l.done
}

// lockHolder asks the kernel who listens.
func lockHolder(name *net.UnixAddr) (*unix.Ucred, error) {
	c, err := net.DialUnix("unix", nil, name)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var holder *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) {
		holder, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return holder, errors.Join(err, asked)
}

// heldError names a process; pid 0 is one in another pid namespace.
func heldError(table string, pid int) error {
	if pid == 0 {
		return &OwnedError{Table: table}
	}
	return &OwnedError{Table: table, PID: pid, Program: procfs.Program(pid)}
}
