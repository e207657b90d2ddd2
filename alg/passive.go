package alg

import (
	"bytes"
	"net/netip"
)

// extendedPassive judges EPSV and its arguments (RFC 2428 §3 and §4).
func (m *Machine) extendedPassive(arg, line []byte) Verdict {
	if len(arg) == 0 {
		return m.askPassive(EPSV, line)
	}
	arg = arg[1:]
	family := "1"
	if m.cfg.Client.Is6() {
		family = "2"
	}
	switch {
	case bytes.EqualFold(arg, []byte("ALL")) && m.translates(): // RFC 6384 §6
		return m.answer(Verdict{Verb: EPSV, Refusal: AfterEPSVAll}, "504 EPSV ALL cannot be kept: EPSV is translated to PASV\r\n")
	case bytes.EqualFold(arg, []byte("ALL")):
		m.queue.push(command{verb: EPSV, special: true})
		return Verdict{Verb: EPSV, ToServer: line}
	case string(arg) == family:
		return m.askPassive(EPSV, line)
	case len(arg) > 0 && len(arg) <= 3 && allDigits(arg):
		return m.wrongFamily(EPSV, arg)
	}
	return m.refuse(EPSV, BadSyntax)
}

// setsUpReply reports whether the reply is a 227 or 229 to PASV or EPSV.
func (m *Machine) setsUpReply() bool {
	c := m.answered()
	return (m.reply.code == 227 || m.reply.code == 229) && c.verb.is(setsUpPassive) && !c.special
}

// setUpLine reads a line of a 227 or 229. Nothing of it goes to the client
// before its pinhole is open; several lines become one.
func (m *Machine) setUpLine(line []byte, simple, first bool) Verdict {
	r := &m.reply
	if r.held += len(line); r.held > maxHeldReply {
		return Verdict{ToClient: []byte(refusals[TooManyErrors]), Refusal: BadReply, End: TooManyErrors}
	}
	var where span
	if simple {
		at, w, ok := m.passiveAddress(line)
		if ok && (!r.found || r.last) { // the last line knows best, else the first that has one
			r.at, r.found = at, true
		}
		where = w
	}
	if r.inside || !r.last {
		return Verdict{}
	}
	answer := *r
	c, code := m.pop()
	v := Verdict{Code: code, Answers: c.number, Answered: c.clients(), Foreign: answer.found && m.foreign(answer.at)}
	to, why := m.serverPort(c, answer)
	if why != NoReason {
		v.Refusal = why
		v.ToClient = m.flush([]byte(refusals[why]))
		return v
	}
	m.lastID++
	m.opening = opening{id: m.lastID, mode: ModePASV}
	if c.asked == EPSV || c.asked == None && c.verb == EPSV {
		m.opening.mode = ModeEPSV
	}
	if first && simple && (c.asked == None || c.asked == c.verb) {
		m.opening.line, m.opening.where = line, where
	}
	v.Open = Open{ID: m.lastID, Mode: m.opening.mode, To: to, Private: m.security.private}
	return v
}

// passiveAddress finds the address in a line of a 227, the port in one of a 229.
func (m *Machine) passiveAddress(line []byte) (at netip.AddrPort, where span, ok bool) {
	from := 0
	if len(line) > 4 && allDigits(line[:3]) && (line[3] == ' ' || line[3] == '-') { // the code is no part of the text
		from = 4
	}
	if m.reply.code == 227 {
		at, where, ok = findTuple(line[from:])
	} else {
		var port uint16
		port, where, ok = findExtended(line[from:])
		at = netip.AddrPortFrom(m.cfg.Server, port)
	}
	return at, span{where.from + from, where.to + from}, ok
}

// serverPort decides where a passive data connection goes: to the server of
// the control connection, whatever address the reply names (RFC 2577 §3 turned
// round: a server must not make a client dial a third party).
func (m *Machine) serverPort(c command, r reply) (to netip.AddrPort, why Reason) {
	to = netip.AddrPortFrom(m.cfg.Server, r.at.Port())
	switch {
	case !m.loggedIn:
		return to, NotLoggedIn
	case !r.found, (c.verb == PASV) != (r.code == 227), m.cfg.Strict && m.foreign(r.at):
		return to, BadReply
	case to.Port() < minDataPort, m.own(to):
		return to, BadReply
	}
	return to, NoReason
}

// foreign reports whether a 227 names another host than its server. 0.0.0.0 is
// what servers say that do not know their own address.
func (m *Machine) foreign(at netip.AddrPort) bool {
	return at.Addr() != m.cfg.Server && !at.Addr().IsUnspecified()
}
