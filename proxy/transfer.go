package proxy

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/audit"
	"ftpgate/proxy/cause"
)

// transfer is a data command, from its line to its final reply, or a set-up
// that failed before there was one. It belongs to its session's lock until it
// has ended, and then to the ledger.
type transfer struct {
	number    uint32 // in its session, from 1
	verb      alg.Verb
	path      string
	direction alg.Direction
	ascii     bool
	began     time.Time
	replies   []int  // codes
	said      uint64 // bytes, in a reply; 0: none did
	pinhole   *pinhole
	refusal   alg.Reason // of the gateway
	aborted   bool
	stalled   time.Duration
}

// awaited is a command of which the reply matters.
type awaited struct {
	command  uint32 // as alg counts
	verb     alg.Verb
	argument string
	transfer *transfer // nil: it is none
}

// maxReplies is how many codes of its replies a transfer keeps: the first ones and
// the last. A server may say 150 for ever.
const maxReplies = 16

// maxFates is how many of its pinholes a session remembers.
const maxFates = 8

// notebook is what a session remembers of what its client did. It belongs to the
// session's lock.
type notebook struct {
	awaited    []awaited
	tried      string // the last USER
	said       []byte // the client's line, as long as its verdict is carried out
	loggedInAs string
	binary     bool // TYPE I or L 8; the default is A (RFC 959 §3.1.1)
	fates      []*pinhole
	setUp      *transfer // the last set-up, if it failed
	count      uint32    // transfers
	done       uint64
	failed     uint64
}

// take returns the command that a reply answers, and forgets it if that is final.
func (n *notebook) take(v alg.Verdict) (awaited, bool) {
	i := slices.IndexFunc(n.awaited, func(a awaited) bool { return a.command == v.Answers })
	if v.Answers == 0 || i < 0 {
		return awaited{}, false
	}
	a := n.awaited[i]
	if v.Code >= 200 {
		n.awaited = slices.Delete(n.awaited, i, i+1)
	}
	return a, true
}

// remember keeps a pinhole for the records, whatever becomes of it.
func (n *notebook) remember(p *pinhole) {
	if len(n.fates) == maxFates {
		n.fates = slices.Delete(n.fates, 0, 1)
	}
	n.fates = append(n.fates, p)
}

func (n *notebook) pinhole(id alg.ID) *pinhole {
	for _, p := range slices.Backward(n.fates) {
		if p.id == id {
			return p
		}
	}
	return nil
}

// argument is what stands behind the verb in a command.
func argument(line []byte) string {
	_, arg, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	return arg
}

// follows reports whether the reply to a command is waited for here.
func follows(v alg.Verb) bool {
	switch v {
	case alg.USER, alg.PASS, alg.ACCT, alg.REIN, alg.TYPE, alg.DELE, alg.RNFR, alg.RNTO, alg.MKD, alg.XMKD, alg.RMD, alg.XRMD, alg.SITE:
		return true
	}
	return v.Direction() != 0
}

// commanded notes a command of the client. What the gateway refuses at once may
// be the failure of a transfer.
func (s *session) commanded(v alg.Verdict) {
	switch {
	case v.Verb == alg.ABOR:
		for _, a := range s.awaited {
			if a.transfer != nil {
				a.transfer.aborted = true
			}
		}
	case v.Refusal != alg.NoReason:
		s.refusedCommand(v)
	case v.Number == 0 || !follows(v.Verb):
	default:
		a := awaited{command: v.Number, verb: v.Verb}
		if v.Verb != alg.PASS && v.Verb != alg.ACCT { // secrets are kept nowhere
			a.argument = argument(v.ToServer)
		}
		if v.Verb == alg.USER {
			s.tried = a.argument
		}
		if v.Transfer.Phase == alg.TransferBegan {
			a.transfer = s.newTransfer(v.Verb, a.argument)
		}
		s.awaited = append(s.awaited, a)
	}
}

func (s *session) newTransfer(verb alg.Verb, path string) *transfer {
	s.count++
	return &transfer{
		number: s.count, verb: verb, path: path, direction: verb.Direction(), ascii: !s.binary || verb.Direction() == alg.Listing,
		began: s.lastLine,
	}
}

// refusedCommand is a set-up or a data command that the gateway does not pass
// on. A data command without a set-up is what its client makes of the refusal
// of that one: the cause is the same.
func (s *session) refusedCommand(v alg.Verdict) {
	switch {
	case v.Verb.SetsUp() && cause.Fails(v.Refusal.String()):
		s.failSetUp(v.Verb, v.Refusal, v)
	case v.Verb.Direction() != 0:
		t := s.newTransfer(v.Verb, argument(s.said))
		t.refusal = v.Refusal
		if s.setUp != nil && v.Refusal == alg.NoDataPort {
			t.refusal = s.setUp.refusal
		}
		s.fail()
		s.service.metrics.transferEnded(t.direction, false, 0)
		s.finish(t, v, "")
	}
}

// failSetUp is a transfer that fails before its data command.
func (s *session) failSetUp(verb alg.Verb, why alg.Reason, v alg.Verdict) {
	t := s.newTransfer(verb, "")
	t.refusal, s.setUp = why, t
	s.fail()
	s.finish(t, v, "")
}

func (s *session) fail() {
	s.failed++
	s.service.tally.failed.Add(1)
}

// replied notes a reply of the server.
func (s *session) replied(v alg.Verdict) {
	if v.Refusal != alg.NoReason && v.Answered.SetsUp() && cause.Fails(v.Refusal.String()) {
		s.failSetUp(v.Answered, v.Refusal, v)
		return
	}
	a, ok := s.take(v)
	if !ok {
		return
	}
	if t := a.transfer; t != nil {
		s.transferReplied(t, v)
		return
	}
	if v.Code < 200 {
		return
	}
	switch a.verb {
	case alg.REIN:
		if v.Code < 300 {
			s.loggedInAs, s.binary = "", false
		}
	case alg.USER, alg.PASS, alg.ACCT:
		s.auditLogin(v)
	case alg.TYPE:
		if v.Code < 300 {
			s.binary = !strings.HasPrefix(strings.ToUpper(a.argument), "A")
		}
	default:
		s.auditFileOp(a, v.Code)
	}
}

// transferReplied notes a reply to a data command.
func (s *session) transferReplied(t *transfer, v alg.Verdict) {
	t.replies = append(t.replies[:min(len(t.replies), maxReplies-1)], v.Code)
	if n, ok := alg.SaidBytes(v.ToClient); ok {
		t.said = n
	}
	if p := s.pinhole(v.Transfer.Pinhole); p != nil {
		t.pinhole = p
		p.direction.Store(uint32(t.direction))
	}
	switch v.Transfer.Phase {
	case alg.TransferDone:
		s.done++
		s.service.tally.done.Add(1)
		s.finish(t, v, "")
	case alg.TransferFailed:
		s.fail()
		t.refusal = v.Refusal
		s.finish(t, v, s.goneBefore(v.Code))
	}
}

// goneBefore is how the client has ended the session, where that is why the server
// says that the data connection broke.
func (s *session) goneBefore(code int) outcome {
	if s.phase == clientGone && code == 426 {
		return s.left()
	}
	return ""
}

// finish hands a transfer to the ledger, with all of the session that a record
// of it must say.
func (s *session) finish(t *transfer, v alg.Verdict, ended outcome) {
	at := s.lastLine
	if ended != "" {
		at = time.Now()
	}
	e := &ending{
		session: s, transfer: t, at: at, ended: ended, code: v.Code, reply: lastLineOf(v.ToClient),
		done: v.Transfer.Phase == alg.TransferDone, who: s.who(),
	}
	if own := codeOf(e.reply); v.Refusal != alg.NoReason && own != 0 { // the client has heard the gateway, not the server
		e.code = own
	}
	if !e.done {
		e.fates, e.lines, e.earlier = s.showFates(), s.recentLines(), s.earlierSetUps(t)
	}
	s.gateway.ledger.finish(e)
}

// unfinished ends the transfers that the session's end has left without a reply.
func (s *session) unfinished() {
	ended := s.ended
	if errors.Is(s.cause, errDrain) { // whose time was over is the daemon
		ended = drained
	}
	for _, a := range s.awaited {
		if t := a.transfer; t != nil {
			if t.pinhole == nil && len(s.fates) > 0 {
				t.pinhole = s.fates[len(s.fates)-1]
			}
			s.fail()
			s.service.metrics.transferEnded(t.direction, false, time.Since(t.began))
			s.finish(t, alg.Verdict{}, ended)
		}
	}
	s.awaited = nil
}

// who is what every record of the session says.
func (s *session) who() audit.Who {
	return audit.Who{
		Session: s.id, Service: s.service.Name, Client: s.client, Gateway: s.outside, Inside: s.inside, Backend: s.server, User: s.loggedInAs,
	}
}

// lastLineOf is the last of the lines that went to the client, without its end.
func lastLineOf(b []byte) string {
	text := strings.TrimRight(string(b), "\r\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// codeOf is that of a reply's line; 0: it has none.
func codeOf(line string) int {
	code, _, _ := strings.Cut(line, " ")
	n, err := strconv.Atoi(code)
	if err != nil || n < 100 || n > 659 {
		return 0
	}
	return n
}
