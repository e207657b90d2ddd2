package alg

import (
	"bytes"
	"net/netip"
)

// reply is the server's reply that is being read.
type reply struct {
	code   int  // of its first line; 0: between replies
	index  int  // of the command it answers in the queue; -1: none
	inside bool // within a line that comes in pieces
	last   bool // that line is the reply's last
	held   int  // bytes of a 227 or 229 that were read and not passed on
	found  bool // a line of it had an address
	at     netip.AddrPort
	hidden bool  // its lines do not go to the client, who gets something else or nothing yet
	named  uint8 // the offers that its lines have named
	again  Verb  // by which command the server is asked again, as it refused the first
}

// Server judges a line of the server, with its LF; a line without one is a
// piece of a line longer than Lines hands out.
func (m *Machine) Server(line []byte) Verdict {
	m.closes = m.closes[:0]
	if len(line) == 0 {
		return Verdict{}
	}
	r := &m.reply
	whole := line[len(line)-1] == '\n'
	first := r.code == 0
	if first && (r.inside || !m.begin(line)) {
		return m.stray(line, whole)
	}
	if !r.inside {
		r.last = endsReply(line, r.code, first)
	}
	simple := whole && !r.inside // the line is in one piece
	r.inside = !whole
	if m.setsUpReply() {
		return m.setUpLine(line, simple, first)
	}
	if r.hidden {
		return m.hiddenLine(whole)
	}
	of := None
	if simple {
		of = m.describes()
	}
	v := Verdict{ToClient: line}
	switch {
	case of != None && r.last:
		return m.describeLast(of, line, first)
	case whole && r.last:
		return m.finish(line)
	case of != None:
		v = m.describe(of, line, first)
	}
	if len(m.due) > 0 && v.ToClient != nil {
		v.ToClient, m.due = append(m.due, v.ToClient...), nil
	}
	return v
}

// begin starts a reply with its first line. It reports false for a line that
// does not start one (RFC 959 §4.2: three digits, then space or hyphen).
func (m *Machine) begin(line []byte) bool {
	code := replyCode(line)
	if code == 0 {
		return false
	}
	m.reply = reply{code: code, index: m.queue.match(code)}
	for m.queue.ownNext() { // what stood behind a command that gets no reply any more
		m.due = append(m.due, m.queue.remove(0).local...)
		m.reply.index = max(m.reply.index-1, -1)
	}
	m.judgeReply()
	return true
}

// replyCode returns the code that a line begins a reply with, or 0.
func replyCode(line []byte) int {
	if len(line) < 4 || line[0] < '1' || line[0] > '6' || !isDigit(line[1]) || !isDigit(line[2]) {
		return 0
	}
	switch line[3] {
	case ' ', '-', '\r', '\n':
		return int(line[0]-'0')*100 + int(line[1]-'0')*10 + int(line[2]-'0')
	}
	return 0
}

// endsReply reports whether a line is the last of a reply: its first, when no
// hyphen follows the code, or the same code with a space (RFC 959 §4.2).
func endsReply(line []byte, code int, first bool) bool {
	if first {
		return line[3] != '-'
	}
	return len(line) > 3 && line[3] == ' ' && isDigit(line[0]) && isDigit(line[1]) && isDigit(line[2]) &&
		int(line[0]-'0')*100+int(line[1]-'0')*10+int(line[2]-'0') == code
}

// stray is a line, or a piece of one, that stands between replies and begins none.
func (m *Machine) stray(line []byte, whole bool) Verdict {
	m.reply.inside = !whole
	switch {
	case !m.greeted:
	case whole:
		return Verdict{ToClient: m.flush(line)}
	default:
		return Verdict{ToClient: line}
	}
	return Verdict{ToClient: []byte(refusals[BadGreeting]), End: BadGreeting, Refusal: BadGreeting}
}

// answered returns the command that the current reply answers.
func (m *Machine) answered() command {
	if m.reply.index < 0 {
		return command{}
	}
	return m.queue.cmds[m.reply.index]
}

// pop ends the current reply and takes the command that it answers, if any,
// from the queue. After a 1yz the command stays there.
func (m *Machine) pop() (command, int) {
	r := m.reply
	m.reply.code = 0
	if r.index < 0 {
		return command{}, r.code
	}
	if r.code < 200 {
		return m.queue.cmds[r.index], r.code
	}
	m.extra = 0
	return m.queue.remove(r.index), r.code
}

// finish judges the last line of a reply.
func (m *Machine) finish(line []byte) Verdict {
	index := m.reply.index
	c, code := m.pop()
	v := Verdict{Code: code, ToClient: m.flush(line)}
	if index < 0 {
		return m.unsolicited(v)
	}
	v.Answers, v.Answered = c.number, c.clients()
	if code < 200 {
		v.Transfer = m.preliminary(index)
		return v
	}
	switch {
	case c.verb == None:
		return m.greeting(v)
	case c.verb.is(setsUpActive):
		if code < 300 {
			m.supersede(c.id)
		} else {
			m.close(c.id, Done)
		}
	case c.verb.is(transfers):
		v.Transfer = m.transferred(c, code)
	case c.verb.is(logsIn):
		v = m.login(v, c.verb)
	case c.verb == ABOR:
		m.close(m.current, Aborted)
	case c.verb == REIN && code < 300:
		m.reinitialize()
		m.renewSecurity(&v)
	case c.verb == AUTH:
		m.authAnswered(&v, c)
	case c.verb == EPSV && c.special && code < 300:
		m.epsvAll = true
	case c.verb == MODE && code < 300:
		m.blockMode = c.special
	}
	v.Close = m.closes
	return v
}

// unsolicited is a final reply that no command waits for. It passes, but a
// server that goes on so is out of step with its client.
func (m *Machine) unsolicited(v Verdict) Verdict {
	if v.Code == 421 || v.Code < 200 { // RFC 959 §4.2: at any time
		return v
	}
	if m.extra++; m.extra > maxSurplus {
		v.ToClient = append(bytes.Clone(v.ToClient), refusals[TooManyErrors]...)
		v.End = TooManyErrors
	}
	return v
}

// preliminary notes a 1yz. A transfer has now taken the current pinhole.
func (m *Machine) preliminary(index int) Transfer {
	c := &m.queue.cmds[index]
	c.started = true
	if !c.verb.is(transfers) {
		return Transfer{}
	}
	m.queue.aborting = false
	c.id = m.used(*c)
	return Transfer{Phase: TransferStarted, Direction: c.verb.Direction(), Pinhole: c.id}
}

// greeting judges the reply that no command asked for (RFC 959 §5.4: 220, or
// 120 first; 421).
func (m *Machine) greeting(v Verdict) Verdict {
	if v.Code >= 300 {
		v.End = GreetingRefused
		return v
	}
	m.greeted = true
	return v
}

// transferred judges the final reply to a data command. Its pinhole is of no
// use any more: in stream mode each transfer sets up its own (RFC 959 §3.3).
func (m *Machine) transferred(c command, code int) Transfer {
	c.id = m.used(c)
	t := Transfer{Phase: TransferDone, Direction: c.verb.Direction(), Pinhole: c.id}
	m.queue.transferEnded()
	if code >= 300 || code == 225 { // 225: the answer to an ABOR
		t.Phase = TransferFailed
	}
	if code >= 300 || !m.blockMode {
		m.mend(c.id)
		m.close(c.id, Done)
	}
	return t
}

// used returns the pinhole of a data command: the current one where no 1yz has
// said so before.
func (m *Machine) used(c command) ID {
	if c.id == 0 {
		return m.current
	}
	return c.id
}

// login follows USER, PASS and ACCT (RFC 959 §5.4, login sequences).
func (m *Machine) login(v Verdict, verb Verb) Verdict {
	switch {
	case v.Code == 230, v.Code == 232, v.Code == 202 && verb == PASS:
		m.loggedIn, m.failed = true, 0
		v.Login = LoggedIn
	case v.Code == 331, v.Code == 332:
		m.loggedIn = false
	case v.Code >= 400 && v.Code != 421 && (v.Code < 500 || v.Code > 504):
		v.Login = LoginFailed
		if m.failed++; m.failed >= maxFailedLogins {
			v.ToClient = append(bytes.Clone(v.ToClient), refusals[TooManyErrors]...)
			v.End = TooManyErrors
		}
	}
	return v
}

// reinitialize follows REIN: all but a running transfer starts anew (RFC 959 §4.1.1).
func (m *Machine) reinitialize() {
	m.loggedIn, m.epsvAll, m.blockMode = false, false, false
	m.noPASV, m.noEPSV, m.noEPRT = false, false, false
	m.abort()
}
