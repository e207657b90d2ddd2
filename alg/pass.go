package alg

import "net/netip"

// passes reports whether TLS between client and server can pass this gateway.
// The kernel carries the data of such a session, and not from one family to
// the other.
func (m *Machine) passes() bool { return m.cfg.TLS == PassTLS && m.cfg.Data && !m.differ() }

// passAUTH judges an AUTH that the server is to answer. Its pinhole comes first:
// from the server's answer on nobody here sees when a data connection is set up.
func (m *Machine) passAUTH(line []byte) Verdict {
	switch {
	case !m.cfg.Data:
		return m.refuse(AUTH, NoPassPorts)
	case m.differ():
		return m.answer(Verdict{Verb: AUTH, Refusal: BadFamily}, "534 TLS cannot pass between IPv4 and IPv6: its data could not\r\n")
	case !m.idle():
		return Verdict{Wait: true}
	case m.cfg.Routed:
		return m.forward(AUTH, line)
	}
	m.lastID++
	m.opening = opening{mode: ModeAUTH, id: m.lastID, line: line}
	return Verdict{Verb: AUTH, Open: Open{ID: m.lastID, Mode: ModeAUTH, To: netip.AddrPortFrom(m.cfg.Server, 0)}}
}

// sendAUTH sends on the AUTH whose pinhole is open.
func (m *Machine) sendAUTH(o opening) Verdict {
	m.queue.push(command{verb: AUTH, id: o.id})
	return Verdict{ToServer: o.line, Number: m.queue.last}
}

// authAnswered judges the server's answer to AUTH. What comes behind a 2yz is
// TLS, and the pinhole stays for as long as it lasts.
func (m *Machine) authAnswered(v *Verdict, c command) {
	if v.Code >= 300 {
		m.close(c.id, Done)
		return
	}
	m.through = c.id
	v.Secure = GoThrough
}

// Resumed says that the TLS between client and server has ended and what comes
// is clear again (RFC 4217 §5, CCC).
//
// What was said within is unknown. The machine takes the client for logged in:
// it was the server's choice to take the CCC, which comes behind the login, and
// no pinhole opens without a 227 or 229 of the same server.
func (m *Machine) Resumed() Verdict {
	m.closes = m.closes[:0]
	m.queue, m.reply, m.due = queue{last: m.queue.last}, reply{}, nil
	m.loggedIn, m.epsvAll, m.blockMode = true, false, false
	m.security.cleared = true
	m.close(m.current, Done) // of before the AUTH
	m.close(m.through, Done)
	m.through = 0
	return Verdict{Close: m.closes}
}
