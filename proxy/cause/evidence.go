package cause

import (
	"net/netip"
	"time"
)

// Evidence is what is known of a transfer that failed, or runs. What is not
// known is zero.
type Evidence struct {
	Passive bool       // the client was to dial; else the server was
	Client  netip.Addr // of the control connection
	Server  netip.Addr
	Peers   netip.Prefix   // whose addresses may dial for the one who was to (data_peer); zero: its own alone
	At      netip.AddrPort // what was to be dialled: the pinhole's address; invalid: none was opened
	To      netip.AddrPort // where that leads
	Opened  time.Time

	Refusal string // why the gateway refused the set-up or the command, as in ftpgate_refusals_total
	Code    int    // of the final reply; 0: none has come
	Text    string // of it
	Aborted bool   // ABOR
	Ended   string // how the session ended before the final reply, as in ftpgate_sessions_total
	Now     time.Time

	Dialled time.Time // when the connection came through the pinhole; zero: it did not
	Answer  Answer    // of who was dialled, to it
	Bytes   uint64    // that it has carried
	Broken  string    // what a relayed connection met, in words
	Stalled time.Duration

	Revoked bool // an administrator has closed all pinholes (close-all)

	Strays   []Stray // SYNs to At that no pinhole let in, since Opened
	Replaced []Stray // SYNs to what earlier set-ups of the session had announced
	Helper   string  // another conntrack helper at one of the control connections
	Private  bool    // there is TLS on a side of the data connection
}

// Stray is a SYN that no pinhole let in.
type Stray struct {
	From netip.Addr
	At   netip.AddrPort // what it dialled
	Seen time.Time
}

// Answer is what a data connection's SYN met behind the gateway.
type Answer uint8

// The answers.
const (
	Unknown  Answer = iota
	Refused         // a RST
	Silent          // nothing
	Accepted        // the connection was established
)

// peers are the one who was to dial the data connection, and the other.
func (e Evidence) peers() (dialler, other string) {
	if e.Passive {
		return "client", "server"
	}
	return "server", "client"
}

// dialler is the address that a SYN was waited for from.
func (e Evidence) dialler() netip.Addr {
	if e.Passive {
		return e.Client
	}
	return e.Server
}

// before is how much earlier than it came a SYN may be said to have been seen:
// the kernel tells what is left of its record's life, and takes time to tell.
const before = 250 * time.Millisecond

// strays are the SYNs since the pinhole was opened, of who was expected and of others.
func (e Evidence) strays() (own, others []Stray) {
	for _, s := range e.Strays {
		switch {
		case s.Seen.Before(e.Opened.Add(-before)):
		case s.From == e.dialler(), e.Peers.Contains(s.From):
			own = append(own, s)
		default:
			others = append(others, s)
		}
	}
	return own, others
}

// after is how long after the pinhole was opened a SYN came.
func (e Evidence) after(s Stray) time.Duration { return round(max(0, s.Seen.Sub(e.Opened))) }
