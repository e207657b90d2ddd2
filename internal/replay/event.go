package replay

import (
	"net/netip"
	"time"
)

// Event is one thing to be told. One of its fields is set.
type Event struct {
	Session *Session `json:"session,omitempty"`
	Line    *Line    `json:"line,omitempty"`
	Note    *Note    `json:"note,omitempty"`
	Summary *Summary `json:"summary,omitempty"`
}

// Session is a control connection that is about to be played.
type Session struct {
	Number   int        `json:"number"`
	Client   string     `json:"client"`  // address, with the port where the recording has it
	Gateway  netip.Addr `json:"gateway"` // what the client dials
	Inside   netip.Addr `json:"inside"`  // what the server sees of the gateway
	Server   string     `json:"server"`
	Service  string     `json:"service"`
	Recorded string     `json:"recorded"` // text, capture
	Began    *time.Time `json:"began,omitempty"`
}

// Line is a line of a dialogue and what the gateway would do with it. A line
// that waits is told again when it is judged.
type Line struct {
	Session int    `json:"session"`
	At      int    `json:"at"`   // line of the text, or packet of the capture, from 1
	From    string `json:"from"` // client, server
	Text    string `json:"text"` // redacted

	Did []string `json:"did"` // in words

	Fate     string    `json:"fate"` // passed, rewritten, answered, held, left_out, swallowed, waits
	ToServer []string  `json:"to_server,omitempty"`
	ToClient []string  `json:"to_client,omitempty"`
	Opens    *Pinhole  `json:"opens,omitempty"`
	Closes   []Closing `json:"closes,omitempty"`
	Transfer string    `json:"transfer,omitempty"` // began, started, done, failed
	Login    string    `json:"login,omitempty"`    // ok, failed
	Refusal  string    `json:"refusal,omitempty"`  // a word of a closed set, as in ftpgate_refusals_total
	Ends     string    `json:"ends,omitempty"`     // why the gateway ends the session, from the same set

	again bool // it waited before
}

// What becomes of a line.
const (
	passed    = "passed"    // to the other side, as it is
	rewritten = "rewritten" // to the other side, changed
	answered  = "answered"  // by the gateway itself
	held      = "held"      // until the rest of its reply or command has come
	leftOut   = "left_out"  // the other side of the recording would not have said it
	swallowed = "swallowed" // nobody gets it
	waits     = "waits"     // for the server's next reply
)

// Pinhole is one that would be opened.
type Pinhole struct {
	ID      uint32 `json:"id"` // counts those of a session
	Mode    string `json:"mode"`
	From    string `json:"from"` // who may dial: an address or a prefix
	At      string `json:"at"`   // what it dials
	To      string `json:"to"`   // where that leads
	Relayed bool   `json:"relayed"`
	Flows   int    `json:"flows,omitempty"` // mode AUTH: connections at once
}

// Closing is a pinhole that would be closed.
type Closing struct {
	ID  uint32 `json:"id"`
	Why string `json:"why"` // done, replaced, aborted, session
}

// Note is something to be known about what follows, or about the recording.
type Note struct {
	Session int    `json:"session,omitempty"` // 0: the recording as a whole
	At      int    `json:"at,omitempty"`      // 0: nowhere in particular
	Text    string `json:"text"`
	Unread  bool   `json:"unread,omitempty"` // a line of the text that is neither side's
}

// Summary counts what was told.
type Summary struct {
	Sessions int            `json:"sessions"`
	Client   int            `json:"client_lines"`
	Server   int            `json:"server_lines"`
	Done     int            `json:"transfers_done"`
	Failed   int            `json:"transfers_failed"`
	Open     int            `json:"transfers_unfinished"`
	Pinholes int            `json:"pinholes"`
	Refusals map[string]int `json:"refusals"`      // by reason
	Ended    int            `json:"ended"`         // sessions that the gateway would have ended
	LeftOut  int            `json:"left_out"`      // lines that would not have been said
	NotSeen  int            `json:"not_seen"`      // lines behind the end of a session, or within TLS
	Missing  int            `json:"missing_bytes"` // that the capture does not have
	Unread   int            `json:"unread_lines"`  // of the text that are neither side's
}

// Findings reports whether there is something that an admin should look at: a
// refusal, a session that would have been ended, or a line that could not be read.
func (s Summary) Findings() bool { return len(s.Refusals) > 0 || s.Ended > 0 || s.Unread > 0 }
