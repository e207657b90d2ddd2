package cause

import (
	"fmt"
	"regexp"
	"time"
)

// Verdict is why a transfer failed.
type Verdict struct {
	Cause    Cause
	Sentence string   // what happened
	Advice   string   // what to do
	Seen     []string // the evidence, in words
}

// Decide says why. Of a transfer that runs it says what would be the cause if
// it failed now; its Cause is "" where nothing speaks for a failure.
func Decide(e Evidence) Verdict {
	c, sentence := e.decide()
	return Verdict{Cause: c, Sentence: sentence, Advice: advice[c], Seen: e.seen()}
}

// refusals are the gateway's own, by what they mean for a transfer.
var refusals = map[string]Cause{
	"bounce": Bounce, "port": Bounce, "bad_reply": BackendBadAddress, "ports_exhausted": PortsExhausted,
	"too_many_setups": PortsExhausted, "nft": NFT, "busy_port": BusyPort, "tls_not_resumed": TLSNotResumed,
	"data_tls": DataTLS, "no_data_port": NoDataPort,
}

// Fails reports whether a set-up that the gateway refused for a reason is a
// transfer that fails. Others are a client that learns what it can use.
func Fails(reason string) bool { return refusals[reason] != "" && reason != "no_data_port" }

// decide goes from what is certain to what is likely.
func (e Evidence) decide() (Cause, string) {
	switch c := refusals[e.Refusal]; {
	case e.Stalled > 0:
		return Stalled, fmt.Sprintf("Nothing moved on the data connection for %v, so the gateway ended it (timeouts.stalled).", e.Stalled)
	case c != "":
		return c, e.refused(c)
	case e.resumption():
		return TLSNotResumed, fmt.Sprintf("The server refused the data connection, because its TLS is not the control connection's: %q.", e.Text)
	case e.At.IsValid() && e.Dialled.IsZero():
		if c, sentence := e.undialled(); c != "" {
			return c, sentence
		}
	case e.Answer == Refused, e.Answer == Silent && !e.soon(e.Dialled):
		return e.unanswered()
	}
	return e.said()
}

// What servers say of it: vsftpd "SSL connection failed: session reuse required",
// FileZilla "TLS session of data connection not resumed". A session alone may be
// one that REST would resume.
var (
	ofTLS  = regexp.MustCompile(`(?i)\b(TLS|SSL)\b`)
	resume = regexp.MustCompile(`(?i)\b(resum|reus)(ed?|ing|ption)\b`)
)

// resumption reports whether the server wants TLS resumed (edge 77 of RFC 4217 clients).
func (e Evidence) resumption() bool {
	return e.Private && (e.Code == 522 || e.Code == 425 || e.Code == 450) && ofTLS.MatchString(e.Text) && resume.MatchString(e.Text)
}

// patience is how long who is to dial, or to answer, may think about it: an ABOR, or
// an end, that comes sooner is a client that did not want the transfer any more. So
// is a 421 that comes sooner: a server that goes down, and waited for nobody.
const patience = 2 * time.Second

// chance is how long a server must have waited for the client to dial, at least:
// one that says sooner that it has no data connection has another reason.
const chance = time.Second / 2

// soon reports whether that is so, of what began at a time, or goes on.
func (e Evidence) soon(began time.Time) bool {
	return e.Now.Sub(began) < patience && (e.Aborted || e.Ended != "" || e.Code == 0 || e.Code == 421)
}

// undialled is for a pinhole through which nothing came. A server that has another
// reason (no such file) says so before anybody dials.
func (e Evidence) undialled() (Cause, string) {
	dialler, other := e.peers()
	own, others := e.strays()
	switch {
	case e.Code >= 300 && e.Code != 421 && e.Code != 425 && e.Code != 426:
		return "", ""
	case e.Revoked: // the kernel notes no SYN from then on
		return Aborted, fmt.Sprintf("An administrator closed all pinholes (ftpgate close-all), also %v, which the %s had not dialled yet.", e.At, dialler)
	case e.Helper != "":
		return ForeignHelper, fmt.Sprintf("Nobody dialled %v, and the kernel's %s helper is at the control connection: it rewrites what the gateway has written.", e.At, e.Helper)
	case len(own) > 0:
		return Late, fmt.Sprintf("The %s dialled %v %v after the pinhole was opened, when it was gone.", dialler, e.At, e.after(own[0]))
	case len(others) > 0:
		return WrongPeer, fmt.Sprintf("%v dialled %v, which waited for the %s, %v.", others[0].From, e.At, dialler, e.dialler())
	case len(e.Replaced) > 0:
		return Late, fmt.Sprintf("The %s dialled %v, which an earlier set-up had named, when %v of a newer one had taken its place.", dialler, e.Replaced[0].At, e.At)
	case e.soon(e.Opened), e.Passive && e.Code > 0 && e.Now.Sub(e.Opened) < chance:
		return "", ""
	}
	return NoSyn, fmt.Sprintf("Nobody dialled %v within %v: the %s was told to connect there for data of the %s, and no SYN of it has reached this gateway.", e.At, round(e.Now.Sub(e.Opened)), dialler, other)
}

// unanswered is for a connection that came through and was not taken.
func (e Evidence) unanswered() (Cause, string) {
	how := "refused the connection"
	if e.Answer == Silent {
		how = "does not answer"
	}
	if e.Passive {
		return BackendRefused, fmt.Sprintf("The client dialled, and the server, which had named %v, %s.", e.To, how)
	}
	return ClientRefused, fmt.Sprintf("The server dialled, and the client, which had named %v, %s.", e.To, how)
}

// said is what the peers' words and ends leave.
func (e Evidence) said() (Cause, string) {
	switch {
	case e.Aborted:
		return Aborted, fmt.Sprintf("The client aborted the transfer (ABOR) after %d bytes.", e.Bytes)
	case e.Ended != "":
		return e.ended()
	case e.Broken != "":
		return DataBroken, fmt.Sprintf("The data connection broke after %d bytes: %s.", e.Bytes, e.Broken)
	case e.Code == 426:
		return DataBroken, fmt.Sprintf("The server says that the data connection broke, after %d bytes: %q.", e.Bytes, e.Text)
	case e.Code >= 300:
		return ServerError, fmt.Sprintf("The server said no: %q.", e.Text)
	}
	return "", ""
}

// ends are how a session ended before its transfer, where that is the server's doing.
var ends = map[string]string{
	"server_closed": "The server closed the control connection",
	"backend":       "The server could not be reached",
	"protocol":      "The session was ended for what is no FTP",
	"timeout":       "The session was ended by its clock",
}

func (e Evidence) ended() (Cause, string) {
	if text, ok := ends[e.Ended]; ok {
		return ServerError, fmt.Sprintf("%s before the transfer's final reply, after %d bytes.", text, e.Bytes)
	}
	text := map[string]string{
		"killed": "An administrator ended the session", "drained": "The gateway went down",
		"address_gone": "The gateway's address left this host", "connection_lost": "The control connection was lost",
		"panic": "A defect of the gateway, which the log has, ended the session",
	}[e.Ended]
	if text == "" {
		text = "The client ended the session"
	}
	return Aborted, fmt.Sprintf("%s before the transfer's final reply, after %d bytes.", text, e.Bytes)
}

// round leaves of a duration what people read.
func round(d time.Duration) time.Duration {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond)
	case d < time.Second:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
