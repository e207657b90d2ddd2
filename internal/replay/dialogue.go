package replay

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// side is one of the two that speak.
type side uint8

const (
	client side = iota
	server
)

// other is whom a side speaks to.
func (s side) other() side { return client + server - s }

func (s side) String() string { return [...]string{"client", "server"}[s] }

// dialogue is one control connection as it was recorded.
type dialogue struct {
	client, server netip.AddrPort // zero: the recording does not say
	began          time.Time
	captured       bool
	parts          []part
}

// part is the next thing in a dialogue. Without bytes it is a note.
type part struct {
	at    int
	from  side
	bytes []byte

	note    string
	unread  bool // the note is of a line that is neither side's
	missing int  // so many bytes of from are not in the recording, whatever came before or comes then
}

// recording is what a file has in it.
type recording struct {
	dialogues []*dialogue
	notes     []string // about the file as a whole
	bad       int      // lines of a text that are neither side's
}

// maxKept bounds the memory that a recording may take. Control connections are
// small; one that is not is an attack, or no control connection.
const (
	maxKept     = 64 << 20
	partWeighs  = 128 // a part beside its bytes
	maxSessions = 20000
	keptWhole   = "only the first 64 MiB of control connections are read: cut the recording into pieces"
)

// keeper counts what is kept.
type keeper int

// fits reports whether n bytes more may be kept, and counts them.
func (k *keeper) fits(n int) bool {
	if int(*k)+n+partWeighs > maxKept {
		return false
	}
	*k += keeper(n + partWeighs)
	return true
}

var errFull = errors.New(keptWhole)

// noSession says that the session that was asked for is not there.
func noSession(wanted, there int) error {
	if there == 1 {
		return fmt.Errorf("there is no session %d in it: it has one", wanted)
	}
	return fmt.Errorf("there is no session %d in it: it has %d", wanted, there)
}
