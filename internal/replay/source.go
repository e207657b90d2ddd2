package replay

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// read finds out what a recording is, by its first bytes, and reads it.
func read(r io.Reader, o Options) (recording, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if head, _ := buffered.Peek(2); len(head) == 2 && head[0] == 0x1f && head[1] == 0x8b {
		unzipped, err := gzip.NewReader(buffered)
		if err != nil {
			return recording{}, fmt.Errorf("unpack it: %w", err)
		}
		buffered = bufio.NewReaderSize(unzipped, 64<<10)
	}
	head, err := buffered.Peek(4)
	switch {
	case len(head) == 0 && errors.Is(err, io.EOF):
		return recording{}, errors.New("it is empty")
	case len(head) == 0:
		return recording{}, fmt.Errorf("read it: %w", err)
	case len(head) == 4 && isCapture(head):
		return readCapture(buffered, o)
	}
	return readScript(buffered)
}

// isCapture reports whether a file begins as pcap or pcapng does.
func isCapture(head []byte) bool {
	switch binary.BigEndian.Uint32(head) {
	case 0x0a0d0d0a, // pcapng
		0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1: // pcap, in microseconds and nanoseconds, in either byte order
		return true
	}
	return false
}
