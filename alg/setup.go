package alg

import (
	"bytes"
	"net/netip"
)

// setUp judges PASV, EPSV, PORT and EPRT.
func (m *Machine) setUp(verb Verb, arg, line []byte) Verdict {
	switch why := m.maySetUp(verb); {
	case why != NoReason:
		return m.refuse(verb, why)
	case m.needsPROT():
		return m.unprotected(verb)
	}
	if verb.is(setsUpActive) {
		return m.active(verb, arg)
	}
	arg = bytes.TrimRight(arg, " ")
	if verb == PASV {
		if len(arg) != 0 {
			return m.refuse(verb, BadSyntax)
		}
		if !m.cfg.Client.Is4() {
			return m.answer(Verdict{Verb: verb, Refusal: BadFamily}, "425 PASV cannot express an IPv6 address: use EPSV\r\n")
		}
		return m.askPassive(verb, line)
	}
	return m.extendedPassive(arg, line)
}

// maySetUp decides whether the session may set up a data connection at all.
func (m *Machine) maySetUp(verb Verb) Reason {
	switch {
	case verb.is(setsUpPassive) && !m.cfg.Passive, verb.is(setsUpActive) && !m.cfg.Active:
		return ModeOff
	case !m.loggedIn && (verb.is(setsUpActive) || m.queue.count(logsIn) == 0):
		// A pipelined PASV behind a login is judged again when its 227 comes.
		return NotLoggedIn
	case verb != EPSV && m.onlyEPSV():
		return AfterEPSVAll
	case m.queue.count(setsUp) >= maxSetUps:
		return TooManySetUps
	}
	return NoReason
}

// onlyEPSV reports whether the server has taken EPSV ALL, or may yet.
func (m *Machine) onlyEPSV() bool { return m.epsvAll || m.queue.has(EPSV, true) }

// wrongFamily names the families that can be used (RFC 2428 §2): of the two
// that there are only the control connection's can.
func (m *Machine) wrongFamily(verb Verb, family []byte) Verdict {
	text := "522 Network protocol not supported, use (1)\r\n"
	switch {
	case string(family) != "1" && string(family) != "2":
		text = "522 Network protocol not supported, use (1,2)\r\n"
	case m.cfg.Client.Is6():
		text = "522 Network protocol not supported, use (2)\r\n"
	}
	return m.answer(Verdict{Verb: verb, Refusal: BadFamily}, text)
}

// own reports whether at is a listener of the gateway itself.
func (m *Machine) own(at netip.AddrPort) bool {
	for _, o := range m.cfg.Own {
		if o.Port() == at.Port() && (o.Addr() == at.Addr() || o.Addr().IsUnspecified()) {
			return true
		}
	}
	return false
}
