package alg

import "bytes"

// Longest lines that Lines keeps in one piece, in bytes with the line end.
const (
	MaxCommand = 4 << 10
	MaxReply   = 8 << 10
)

// Lines cuts a stream into lines that end in LF, however it is segmented.
// A line longer than the limit comes in pieces, all but the last without the
// LF; Machine knows what that means. The zero value is not usable: NewLines.
type Lines struct {
	buf        []byte
	start, end int // buf[start:end] is read and not yet handed out
	seen       int // buf[start:seen] has no LF
	max        int
}

// firstBuffer is enough for most sessions, which never see a longer line.
const firstBuffer = 256

// NewLines returns an empty Lines for lines of at most limit bytes.
func NewLines(limit int) Lines { return Lines{max: limit} }

// Space returns where the next bytes of the stream belong. It is never empty.
// Every line that Next returned before is invalid from now on.
func (l *Lines) Space() []byte {
	if l.start == l.end {
		l.start, l.end, l.seen = 0, 0, 0
		if len(l.buf) > firstBuffer {
			l.buf = nil // one long line must not weigh on an idle session
		}
	}
	switch {
	case l.buf == nil:
		l.buf = make([]byte, min(firstBuffer, l.max))
	case l.end < len(l.buf):
	case l.start > 0:
		copy(l.buf, l.buf[l.start:l.end])
		l.end -= l.start
		l.seen -= l.start
		l.start = 0
	default:
		grown := make([]byte, min(2*len(l.buf), l.max))
		copy(grown, l.buf)
		l.buf = grown
	}
	return l.buf[l.end:]
}

// Filled says that the first n bytes of Space have been read.
func (l *Lines) Filled(n int) { l.end += n }

// Next returns the next line with its LF, or a piece of one that is too long,
// or nil when more bytes are needed.
func (l *Lines) Next() []byte {
	if i := bytes.IndexByte(l.buf[l.seen:l.end], '\n'); i >= 0 {
		return l.take(l.seen + i + 1)
	}
	l.seen = l.end
	if l.end-l.start >= l.max {
		return l.take(l.end)
	}
	return nil
}

// Rest returns what is left of a stream that ended within a line.
func (l *Lines) Rest() []byte { return l.take(l.end) }

// Pending returns what waits for a line end. It stays where it is.
func (l *Lines) Pending() []byte { return l.buf[l.start:l.end] }

func (l *Lines) take(to int) []byte {
	line := l.buf[l.start:to:to]
	l.start, l.seen = to, to
	return line
}
