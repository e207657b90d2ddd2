package proxy

import (
	"encoding/binary"
	"strconv"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/api"
)

// recorder keeps the last lines of a session, redacted, for who asks later what
// was said. They lie in one piece of memory that grows with what is said, up
// to a bound; then the oldest go. It belongs to the session's lock.
type recorder struct {
	redactor alg.Redactor
	heard    heard // the line whose verdict is carried out

	entries []byte
	before  int64 // milliseconds since 1970: the time from which the first entry counts
	last    int64 // of the last entry

	inside bool // the server's line came in pieces, and has no end yet
	within bool // the server's reply has more lines
	left   int  // lines of it that are not in entries
}

// heard is a line as it came.
type heard struct {
	from speaker
	line []byte
}

// speaker is who said a line.
type speaker uint8

const (
	nobody speaker = iota
	fromClient
	fromServer
	fromGateway
)

// String returns the speaker as the API has it.
func (s speaker) String() string { return [...]string{"", "client", "server", "gateway"}[s] }

// An entry is a byte of flags and who said it, the milliseconds since the entry
// before it, the text behind its length, and, if it went on as another one, that
// behind its length.
const (
	flagSpeaker = 3      // mask
	flagOther   = 1 << 2 // another line went on
	flagNone    = 1 << 3 // none did
	flagGap     = 1 << 4 // it stands for lines that were left out: what would be the text's length is their number
)

const (
	firstEntries = 256
	maxEntries   = 2 << 10
	roomForText  = alg.MaxText + 8 // with the ellipsis, or a code before what is hidden
)

const notPassedOn = "[not passed on]"

// entry is one, decoded.
type entry struct {
	from       speaker
	after      int64 // milliseconds
	text, sent []byte
	kept       bool // it went to nobody
	gap        int  // how many lines were left out, instead of a text
}

// add keeps an entry at a time. It makes no garbage once entries has its size.
func (r *recorder) add(now int64, e entry) {
	r.makeRoom(1 + binary.MaxVarintLen64 + 1 + len(e.text) + 1 + len(e.sent))
	if len(r.entries) == 0 {
		r.before, r.last = now, now
	}
	flags := byte(e.from)
	switch {
	case e.gap > 0:
		flags |= flagGap
	case e.kept:
		flags |= flagNone
	case e.sent != nil:
		flags |= flagOther
	}
	b := binary.AppendUvarint(append(r.entries, flags), uint64(max(0, now-r.last)))
	r.last = max(r.last, now)
	if e.gap > 0 {
		r.entries = binary.AppendUvarint(b, uint64(e.gap))
		return
	}
	b = append(append(b, byte(len(e.text))), e.text...)
	if flags&flagOther != 0 {
		b = append(append(b, byte(len(e.sent))), e.sent...)
	}
	r.entries = b
}

// makeRoom makes room for n bytes, in larger memory, or where the oldest entries
// were: a quarter of all at once, since the others have to move.
func (r *recorder) makeRoom(n int) {
	have := len(r.entries)
	if cap(r.entries)-have >= n {
		return
	}
	if size := max(firstEntries, 2*cap(r.entries)); size <= maxEntries {
		for size-have < n {
			size *= 2
		}
		r.entries = append(make([]byte, 0, size), r.entries...)
		return
	}
	from := 0
	for from < maxEntries/4 || maxEntries-have+from < n {
		e, size := decode(r.entries[from:])
		from += size
		r.before += e.after
	}
	r.entries = r.entries[:copy(r.entries, r.entries[from:])]
}

// decode reads the first entry of b, and says how long it is.
func decode(b []byte) (e entry, size int) {
	flags := b[0]
	after, n := binary.Uvarint(b[1:])
	size = 1 + n
	e.from, e.after, e.kept = speaker(flags&flagSpeaker), int64(after), flags&flagNone != 0
	if flags&flagGap != 0 {
		left, n := binary.Uvarint(b[size:])
		e.gap = int(left)
		return e, size + n
	}
	next := func() []byte {
		text := b[size+1 : size+1+int(b[size])]
		size += 1 + len(text)
		return text
	}
	e.text = next()
	if flags&flagOther != 0 {
		e.sent = next()
	}
	return e, size
}

// snapshot returns the lines, the oldest first.
func (r *recorder) snapshot() []api.Line {
	lines := []api.Line{}
	at := r.before
	for b := r.entries; len(b) > 0; {
		e, size := decode(b)
		b = b[size:]
		at += e.after
		lines = append(lines, e.line(time.UnixMilli(at)))
	}
	return lines
}

// line is an entry as the API has it.
func (e entry) line(at time.Time) api.Line {
	l := api.Line{Time: at, From: e.from.String(), Text: string(e.text), Sent: string(e.sent)}
	if e.gap > 0 {
		l.Text = "[" + strconv.Itoa(e.gap) + " lines]"
	}
	if e.kept {
		l.Sent = notPassedOn
	}
	return l
}
