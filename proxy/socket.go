package proxy

import (
	"errors"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How long a dead peer stays unnoticed: silent for keepIdle, it is asked every
// keepInterval and given up after keepCount unanswered questions; what we sent
// and it does not take is given up after userTimeout.
const (
	keepIdle     = 60 * time.Second
	keepInterval = 15 * time.Second
	keepCount    = 4
	userTimeout  = 60 * time.Second
)

// tune sets what both control connections of a session need: a dead peer is
// noticed, and the urgent byte of Telnet's Synch stays in its place in the
// stream (RFC 854; without it ABOR loses its first letter).
func tune(fd int) error {
	return errors.Join(
		tuneData(fd),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1),
	)
}

// tuneData is tune for a data connection: a peer that takes nothing for a while
// is alive as long as it answers.
func tuneData(fd int) error {
	return errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_KEEPIDLE, int(keepIdle.Seconds())),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_KEEPINTVL, int(keepInterval.Seconds())),
		unix.SetsockoptInt(fd, unix.SOL_TCP, unix.TCP_KEEPCNT, keepCount),
	)
}

func control(raw syscall.RawConn, f func(fd int) error) error {
	var err error
	if e := raw.Control(func(fd uintptr) { err = f(int(fd)) }); e != nil {
		return e
	}
	return err
}
