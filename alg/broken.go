package alg

// broken is a pinhole whose relayed connection did not do what it should.
type broken struct {
	id  ID
	why Reason
}

// maxBroken bounds those of which the end of the transfer is not known yet.
const maxBroken = 2 * maxSetUps

// Finishes returns the pinhole and the direction of the transfer that line, a
// whole line of the server, would bring to a good end; 0 where it would not, or where the
// connection goes on to another file (MODE B and C). It changes nothing: a
// session asks before it lets go of a reply that must not overtake the data.
func (m *Machine) Finishes(line []byte) (ID, Direction) {
	code := replyCode(line)
	if m.reply.code != 0 || m.reply.inside || m.blockMode || code/100 != 2 || code == 225 {
		return 0, 0
	}
	index, _ := m.queue.locate(code)
	if index < 0 || !m.queue.cmds[index].verb.is(transfers) {
		return 0, 0
	}
	c := m.queue.cmds[index]
	return m.used(c), c.verb.Direction()
}

// Broken says that the relayed connection of a pinhole failed: DataBroken where
// what the server says of it may be untrue, NotResumed and DataTLS where what
// it says is not the cause. The client then gets why as its transfer's reply.
func (m *Machine) Broken(id ID, why Reason) {
	m.mend(id)
	if len(m.broken) == maxBroken {
		m.broken = append(m.broken[:0], m.broken[1:]...)
	}
	m.broken = append(m.broken, broken{id, why})
}

// brokenWhy returns what broke a pinhole's connection, or NoReason.
func (m *Machine) brokenWhy(id ID) Reason {
	for _, b := range m.broken {
		if b.id == id {
			return b.why
		}
	}
	return NoReason
}

// mend forgets what broke a pinhole's connection.
func (m *Machine) mend(id ID) {
	for i, b := range m.broken {
		if b.id == id {
			m.broken = append(m.broken[:i], m.broken[i+1:]...)
			return
		}
	}
}

// untrue reports whether a reply to a data command must not reach the client,
// since what broke its connection says otherwise.
func (m *Machine) untrue(c command, code int) bool {
	switch m.brokenWhy(m.used(c)) {
	case NoReason:
		return false
	case DataBroken:
		return code/100 == 2 // the server may know of a failure itself
	}
	return code >= 200
}

// failTransfer ends a transfer by what broke its connection.
func (m *Machine) failTransfer(c command) Verdict {
	why := m.brokenWhy(m.used(c))
	line := []byte(refusals[why])
	m.reply.code = replyCode(line)
	v := m.finish(line)
	v.Refusal = why
	return v
}
