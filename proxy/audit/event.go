package audit

import (
	"net/netip"
	"time"
)

// Event is one line of the audit log. The types below are all there are. A path
// or a name is as the peer sent it; what is written is escaped. None has a place
// for a password.
type Event interface{ fields(o *object) }

// Who is what every event of a session says.
type Who struct {
	Session uint64
	Service string
	Client  netip.AddrPort // the client's end of the control connection
	Gateway netip.AddrPort // what it dialled
	Inside  netip.AddrPort // our end towards the server; zero: not connected
	Backend netip.AddrPort // the server
	User    string         // "": nobody has logged in
}

// SessionStart is a control connection that was let in.
type SessionStart struct {
	Time time.Time
	Who
}

// Login is a login that the server has answered.
type Login struct {
	Time time.Time
	Who
	Tried string // the name that was tried
	OK    bool
	Reply int
}

// Transfer is a data command that has had its end.
type Transfer struct {
	Time time.Time // of its end
	Who
	Number    uint32 // of the transfer in its session; with it, its id: session.number
	Verb      string // RETR, LIST, …
	Path      string
	Mode      string // PASV, EPSV, PORT, EPRT; "": no data connection was set up
	Direction string // download, upload, listing
	ASCII     bool   // TYPE A: bytes are those on the wire, not those of the file
	Private   bool   // the client's data connection was TLS
	Relayed   bool   // carried by the process, not by the kernel

	ClientSide, ServerSide Flow // the two data connections; zero: none
	Bytes                  uint64
	Source                 Source

	Started time.Time
	Connect time.Duration // from the pinhole to its connection; negative: none came
	Took    time.Duration // from the command to the final reply
	Replies []int         // codes of the replies to the command
	Done    bool
	Cause   string // of a failure
	Detail  string // a sentence on it
}

// Flow is a TCP connection, as the packets on one side show it.
type Flow struct{ Src, Dst netip.AddrPort }

// Source is where a number of bytes comes from.
type Source string

// The sources, the surest first.
const (
	Exact      Source = "exact"       // we carried them, or there were none
	ServerText Source = "server_text" // the server said so in its reply, and conntrack does not contradict
	Conntrack  Source = "conntrack"   // the kernel's counters: about, as retransmitted bytes count again
	Unknown    Source = "unknown"     // nobody counted
)

// FileOp is a command that changes files without a transfer, and was answered.
type FileOp struct {
	Time time.Time
	Who
	Verb  string // DELE, RNFR, RNTO, MKD, RMD, SITE CHMOD
	Path  string
	Reply int
}

// Refused is a connection or a line that the gateway refused.
type Refused struct {
	Time   time.Time
	Who           // of a connection that was not let in: without a Session
	Verb   string // "": the connection
	Reason string // as in ftpgate_refusals_total
}

// Admin is what somebody did through the control socket or by a signal.
type Admin struct {
	Time   time.Time
	UID    int    // who asked; -1: not known
	Action string // kill, drain, undrain, reload, close-all
	Detail string // what it applied to
	Error  string // "": done
}

// SessionEnd is the end of a control connection.
type SessionEnd struct {
	Time time.Time
	Who
	Result              string // as in ftpgate_sessions_total
	Took                time.Duration
	Transfers, Failures uint64
	ToClient, ToServer  uint64 // payload of data connections
}
