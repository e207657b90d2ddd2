package alg

import "net/netip"

// Verdict says what must be done with a line, in this order: open, close,
// write, end. The zero Verdict means that nothing must be done.
type Verdict struct {
	// Open, where its ID is not 0, is the pinhole without which the line
	// must not go on: carry it out and call Machine.Opened or Refused.
	Open Open
	// Close names pinholes that have served. One that is not open any more is fine.
	Close []Closing

	ToServer, ToClient []byte

	// Wait: the line cannot be judged yet. Present the same line again
	// after the next reply.
	Wait bool
	// Secure, where not 0, changes the client's connection after the writes.
	// What the client sent behind the line by then is injected: end the session.
	Secure Secure
	// End, where not 0, ends the session after the writes, and says why.
	End Reason

	// What happened, for metrics and the log.
	Verb     Verb     // the client's command
	Number   uint32   // of a command that waits for a reply; 0: it has one already
	Code     int      // a reply's code, on its last line
	Answers  uint32   // the number of the command that the reply is for; 0: for none
	Answered Verb     // that command
	Refusal  Reason   // why the gateway did not do what a line asked
	Rewrite  Rewrite  // which line was rewritten
	Login    Login    // a login succeeded or failed
	Transfer Transfer // a transfer began or ended
	Foreign  bool     // the server named another address than its own; it was ignored
	TLSLost  bool     // the server offers TLS, which this service refuses
	Restart  bool     // REIN: the server's connection is as before its greeting, so its TLS is gone too
}

// ID names a pinhole within its session. 0 is none.
type ID uint32

// Open asks for a pinhole that leads to To.
type Open struct {
	ID      ID
	Mode    Mode
	To      netip.AddrPort // where the data connection must end up; port 0 with ModeAUTH
	Private bool           // the client's end of the data connection is TLS (PROT P), and ours
}

// Closing ends a pinhole.
type Closing struct {
	ID  ID
	Why CloseReason
}

// CloseReason says what ended a pinhole.
type CloseReason uint8

const (
	Done     CloseReason = iota + 1 // its transfer, or its command, had its final reply
	Replaced                        // the next set-up succeeded
	Aborted                         // ABOR, REIN, or a PROT that asks for another level
)

// Mode is how a data connection is set up.
type Mode uint8

// The four commands that set up a data connection (RFC 959 §4.1.2, RFC 2428).
const (
	ModePASV Mode = iota + 1
	ModeEPSV
	ModePORT
	ModeEPRT
	// ModeAUTH is for data that is set up within TLS that passes the gateway: it
	// admits the client to the ports that the service declares, while it is open.
	ModeAUTH
)

// Passive reports whether the client dials.
func (m Mode) Passive() bool { return m == ModePASV || m == ModeEPSV }

// String returns the command that sets up the mode.
func (m Mode) String() string { return [...]string{"", "PASV", "EPSV", "PORT", "EPRT", "AUTH"}[m] }

// Reason is why the gateway refused a line or ended a session. The set is closed.
type Reason uint8

// The refusals, then the ends of a session that the machine decides.
const (
	NoReason        Reason = iota
	NotACommand            // the line does not begin with a verb
	BadSyntax              // the argument cannot be read
	BadLineEnd             // a bare CR, LF or NUL within a line
	LineTooLong            // longer than MaxCommand
	NotLoggedIn            // a data set-up before the login
	Bounce                 // PORT or EPRT with an address that is not the client's
	BadPort                // a data port that the gateway opens to nobody
	BadFamily              // an address family that the control connection does not have
	ModeOff                // a data mode that the service leaves out
	AfterEPSVAll           // another set-up after EPSV ALL
	NoTLS                  // AUTH while TLS is refused
	Unsupported            // a command that would open a path past the gateway
	NoDataPort             // a data command without PASV or PORT before it
	TooManySetUps          // more than four set-ups without an answer
	BadReply               // the server's answer to PASV or EPSV cannot be used
	NoPorts                // the port range is used up
	NoPinhole              // the kernel did not take the pinhole
	BusyPort               // the client's active port still has a connection
	NotFTP                 // the first bytes are another protocol's
	BadGreeting            // the server does not begin as an FTP server
	GreetingRefused        // the server's greeting is a refusal
	TooManyErrors          // the client, or the server, has used up the patience of the gateway
	NeedsTLS               // tls.require: a login or a data connection without TLS
	Injection              // bytes in clear behind AUTH or its reply (CVE-2011-0411)
	NotResumed             // the data connection's TLS is not that of the control connection
	DataTLS                // the data connection's TLS handshake failed
	DataBroken             // a relayed data connection broke, so the transfer is not complete
	NoPassPorts            // tls.mode = "pass" without ports for data
	OutOfOrder             // a security command before or behind its time (RFC 4217)
	BadProtection          // a security mechanism, or a protection level, that TLS does not have
	reasons
)

var reasonNames = [reasons]string{
	"", "not_a_command", "syntax", "line_end", "line_too_long", "not_logged_in", "bounce", "port", "family", "mode",
	"epsv_all", "tls", "unsupported", "no_data_port", "too_many_setups", "bad_reply", "ports_exhausted",
	"nft", "busy_port", "not_ftp", "bad_greeting", "greeting_refused", "too_many_errors", "needs_tls", "injection",
	"tls_not_resumed", "data_tls", "data_broken", "no_pass_ports",
	"security_order", "protection",
}

// String returns the reason as a metric label.
func (r Reason) String() string { return reasonNames[r] }

// Reasons returns all reasons but NoReason.
func Reasons() []Reason {
	all := make([]Reason, 0, reasons-1)
	for r := NotACommand; r < reasons; r++ {
		all = append(all, r)
	}
	return all
}

// Rewrite is a kind of line that the gateway changes.
type Rewrite uint8

// The lines that the gateway changes.
const (
	RewritePASV Rewrite = iota + 1 // a 227
	RewriteEPSV                    // a 229
	RewritePORT
	RewriteEPRT
	RewriteFEAT   // a line of the reply to FEAT left out, or put in
	RewriteHELP   // a line of the reply to HELP with commands blanked out, or put in
	RewriteToPASV // an EPSV that the server got as PASV
	RewriteToEPSV // a PASV that the server got as EPSV
	rewrites
)

// String returns the kind as a metric label.
func (r Rewrite) String() string {
	return [...]string{"", "227", "229", "PORT", "EPRT", "FEAT", "HELP", "PASV", "EPSV"}[r]
}

// Rewrites returns all kinds.
func Rewrites() []Rewrite {
	all := make([]Rewrite, 0, rewrites-1)
	for r := RewritePASV; r < rewrites; r++ {
		all = append(all, r)
	}
	return all
}

// Login is the outcome of a login.
type Login uint8

// The outcomes of a login.
const (
	LoggedIn Login = iota + 1
	LoginFailed
)

// Direction is what a transfer does, as the client sees it.
type Direction uint8

// The directions of a transfer.
const (
	Download Direction = iota + 1
	Upload
	Listing
)

// String returns the direction as a metric label.
func (d Direction) String() string { return [...]string{"", "download", "upload", "listing"}[d] }

// Transfer is what becomes of a transfer on the control connection. Which one it
// is, Number and Answers of the Verdict say.
type Transfer struct {
	Phase     Phase
	Direction Direction
	Pinhole   ID // 0: none that the gateway opened
}

// Phase is where a transfer is. The zero Phase: no news.
type Phase uint8

// A transfer begins with its command, may be said to have started, and has one end.
const (
	TransferBegan   Phase = iota + 1 // the data command went to the server
	TransferStarted                  // its 1yz has come, of which there may be none and more than one
	TransferDone                     // its final reply was a 2yz
	TransferFailed                   // its final reply was a 4yz or 5yz
)
