package alg

import (
	"bytes"
	"net/netip"
)

// told is the address that an EPRT has told the server, in case the server
// knows only PORT.
type told struct {
	id ID
	at netip.AddrPort
}

// differ reports whether one of client and server has IPv4 and the other IPv6,
// so that what they say of data connections must be translated (RFC 6384).
func (m *Machine) differ() bool { return m.cfg.Client.Is4() != m.cfg.Server.Is4() }

// keepsStep reports whether the server hears a NOOP where the gateway answers by
// itself, so that its timers go on with the client's (RFC 6384 §12). A transfer
// does that too.
func (m *Machine) keepsStep() bool {
	return m.loggedIn && m.differ() && m.queue.count(transfers) == 0
}

// algs judges ALGS (RFC 6384 §11), by which a client asks what is translated
// for it and may have it left alone.
func (m *Machine) algs(arg []byte) Verdict {
	arg = bytes.Trim(arg, " ")
	switch {
	case len(arg) == 0:
		return m.refuse(ALGS, BadSyntax)
	case bytes.EqualFold(arg, []byte("STATUS64")):
	case bytes.EqualFold(arg, []byte("ENABLE64")):
		m.asIs = false
	case bytes.EqualFold(arg, []byte("DISABLE64")):
		m.asIs = m.cfg.Client.Is6() // else EPSV and EPRT have nothing to be left alone by
	default:
		return m.answer(Verdict{Verb: ALGS, Refusal: BadSyntax}, "504 ALGS has STATUS64, ENABLE64 and DISABLE64\r\n")
	}
	text := "216 EPSVEPRT EPSV and EPRT are translated\r\n"
	switch {
	case !m.translates() || !m.cfg.Passive:
		text = "216 NONE Neither EPSV nor EPRT is translated\r\n"
	case !m.cfg.Active:
		text = "216 EPSV EPSV is translated\r\n"
	}
	return m.answer(Verdict{Verb: ALGS}, text)
}

// translates reports whether EPSV and EPRT become PASV and PORT.
func (m *Machine) translates() bool { return m.differ() && m.cfg.Server.Is4() && !m.asIs }

// askPassive asks the server for a data port, by the command that it knows.
func (m *Machine) askPassive(asked Verb, line []byte) Verdict {
	verb := m.wording(asked)
	if verb == asked && (!m.differ() || m.asIs) {
		return m.forward(verb, line)
	}
	v := m.ask(verb) // without the client's argument, which is of another family
	m.queue.push(command{verb: verb, asked: asked})
	v.Verb = asked
	if verb == asked {
		v.Rewrite = 0
	}
	return v
}

// ask writes a PASV or EPSV of the gateway's own.
func (m *Machine) ask(verb Verb) Verdict {
	m.out = append(append(m.out[:0], verb.String()...), '\r', '\n')
	if verb == PASV {
		return Verdict{ToServer: m.out, Rewrite: RewriteToPASV}
	}
	return Verdict{ToServer: m.out, Rewrite: RewriteToEPSV}
}

// wording returns by which command the server is asked for a data port: the
// client's own; where the families differ the one that the server's family
// calls for; and where the server has refused that, the other.
func (m *Machine) wording(asked Verb) Verb {
	verb := asked
	switch {
	case m.asIs:
		return asked
	case m.differ() && m.cfg.Server.Is4():
		verb = PASV
	case m.differ():
		verb = EPSV
	}
	if other := m.otherWording(verb); *m.lacks(verb) && other != None {
		return other
	}
	return verb
}

// lacks returns where it is noted that the server does not know a command.
func (m *Machine) lacks(verb Verb) *bool {
	switch verb {
	case PASV:
		return &m.noPASV
	case EPSV:
		return &m.noEPSV
	}
	return &m.noEPRT
}

// otherWording returns the other one of PASV and EPSV, or None where it is of no
// use with this server.
func (m *Machine) otherWording(verb Verb) Verb {
	switch {
	case m.asIs:
	case verb == PASV && !m.noEPSV:
		return EPSV
	case verb == EPSV && !m.noPASV && m.cfg.Server.Is4() && !m.onlyEPSV(): // a 227 can say no other address
		return PASV
	}
	return None
}

// unknownCommand reports whether a reply says that the server does not do what
// it was asked, now or later (RFC 959 §4.2.1, RFC 2428 §2).
func unknownCommand(code int) bool {
	return code >= 500 && code <= 502 || code == 504 || code == 522
}

// learn notes what the server does not know, and returns by which command it can
// be asked again in the same place. Where more commands are under way already it
// cannot: the reply would come in the wrong turn.
func (m *Machine) learn(c command, code int) (again Verb) {
	if !m.loggedIn || c.special || !unknownCommand(code) || c.verb == PORT {
		return None
	}
	*m.lacks(c.verb) = true
	switch {
	case m.queue.oldest(m.reply.index+1) >= 0:
		return None
	case c.verb != EPRT:
		return m.otherWording(c.verb)
	case m.told.id == c.id && m.told.at.Addr().Is4():
		return PORT
	}
	return None
}

// askAgain puts another command in the place of one that the server refused.
func (m *Machine) askAgain() Verdict {
	r := m.reply
	m.reply.code = 0
	c := &m.queue.cmds[r.index]
	if c.asked == None {
		c.asked = c.verb
	}
	c.verb = r.again
	var v Verdict
	if r.again == PORT {
		v = Verdict{ToServer: m.tell(PORT, m.told.at), Rewrite: RewritePORT}
	} else {
		v = m.ask(r.again)
	}
	v.Code = r.code
	return v
}
