package conntrack

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// maxDatagram is the most that the kernel puts into one when it dumps.
const maxDatagram = 32 << 10

// read waits for a datagram. The library would look at each one twice, for its
// size first.
func read(raw syscall.RawConn, b []byte) (n int, err error) {
	var readErr error
	err = raw.Read(func(fd uintptr) bool {
		n, _, readErr = unix.Recvfrom(int(fd), b, unix.MSG_DONTWAIT)
		return readErr != unix.EAGAIN
	})
	return n, cmp.Or(err, readErr)
}

// split takes the first message off a datagram. More is false at its end.
func split(b []byte) (m netlink.Message, rest []byte, more bool, err error) {
	const header = 16
	if len(b) < header {
		return m, nil, false, nil
	}
	size := min(int(binary.NativeEndian.Uint32(b)+3)&^3, len(b))
	if err := m.UnmarshalBinary(b[:size]); err != nil {
		return m, nil, false, fmt.Errorf("%w: %w", errMalformed, err)
	}
	return m, b[size:], true, nil
}

// status is what the kernel says at the end of its answer.
func status(m netlink.Message) error {
	if len(m.Data) < 4 {
		return fmt.Errorf("%w: an answer ends without a status", errMalformed)
	}
	if code := int32(binary.NativeEndian.Uint32(m.Data)); code < 0 {
		return unix.Errno(-code)
	}
	return nil
}

// each sends a question and calls f for each message that answers it, whose data
// is overwritten after that. f is not called again when it has failed.
func (c *Conn) each(question netlink.Message, f func(netlink.Message) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, err := c.nl.Send(question)
	if err != nil {
		return err
	}
	if c.buffer == nil {
		c.buffer = make([]byte, maxDatagram)
	}
	var failed error
	for {
		n, err := read(c.raw, c.buffer)
		if err != nil {
			return err
		}
		for rest, more := c.buffer[:n], true; more; {
			var m netlink.Message
			m, rest, more, err = split(rest)
			switch {
			case err != nil:
				return err
			case !more:
			case m.Header.Sequence != sent.Header.Sequence: // of a question that was given up
			case m.Header.Type == netlink.Done, m.Header.Type == netlink.Error:
				return cmp.Or(failed, status(m))
			case failed == nil:
				failed = f(m)
			}
		}
	}
}
