package alg

// judgeReply decides, when a reply begins, whether the client gets it as it is.
func (m *Machine) judgeReply() {
	r := &m.reply
	if r.index < 0 {
		return
	}
	switch c := &m.queue.cmds[r.index]; {
	case c.instead != "":
		r.hidden = r.code != 421 // which ends the session: the client must know
	case c.verb.is(setsUp) && r.code >= 500:
		r.again = m.learn(*c, r.code)
		r.hidden = r.again != None
	case c.verb == FEAT:
		r.hidden = unknownCommand(r.code) && m.hasFeatures()
	case c.verb.is(transfers) && len(m.broken) > 0:
		r.hidden = m.untrue(*c, r.code)
	}
}

// hiddenLine leaves out a line of a reply that the client does not get, and
// ends the reply.
func (m *Machine) hiddenLine(whole bool) Verdict {
	if !whole || !m.reply.last {
		return Verdict{}
	}
	switch c := m.answered(); {
	case m.reply.again != None:
		return m.askAgain()
	case c.instead != "":
		_, code := m.pop()
		if code < 200 {
			return Verdict{Code: code}
		}
		return Verdict{Code: code, ToClient: m.flush([]byte(c.instead))}
	case c.verb == FEAT:
		return m.finishFeatures()
	default:
		return m.failTransfer(c)
	}
}
