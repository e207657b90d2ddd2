package alg

import "bytes"

// Client judges a line of the client, with its LF; a line without one is a
// piece of a line longer than Lines hands out.
func (m *Machine) Client(line []byte) Verdict {
	m.closes = m.closes[:0]
	if len(line) == 0 {
		return Verdict{}
	}
	if m.Foreign(line) {
		return Verdict{ToClient: []byte(refusals[NotFTP]), Refusal: NotFTP, End: NotFTP}
	}
	if m.busy() {
		return Verdict{Wait: true}
	}
	if line[len(line)-1] != '\n' {
		m.skip(LineTooLong)
		m.splitCR = line[len(line)-1] == '\r'
		return Verdict{}
	}
	body, ending := cutEnd(line)
	if m.splitCR && len(line) == 1 {
		ending = 2 // the CR was the last byte of the piece before
	}
	m.splitCR = false
	if !m.first {
		m.first, m.crlf = true, ending == 2
	}
	if m.crlf && ending == 1 {
		m.skip(BadLineEnd) // the line goes on to its CRLF and is refused whole
		return Verdict{}
	}
	if why := m.skipping; why != NoReason {
		m.skipping = NoReason
		return m.offence(why)
	}
	var telnet []byte
	if bytes.IndexByte(body, iac) >= 0 {
		var stripped bool
		m.plain = append(m.plain[:0], body...) // the line may have to wait, and be judged again as it came
		if body, telnet, stripped = stripTelnet(m.plain); stripped {
			line = append(body, '\r', '\n') // fits: something was cut out
			ending = 2
		}
	}
	if ending == 1 {
		m.out = append(append(m.out[:0], body...), '\r', '\n')
		line = m.out
	}
	last := m.queue.last
	v := m.command(line, line[:len(line)-2])
	v.Close = m.closes
	if m.queue.last != last {
		v.Number = m.queue.last
	}
	if telnet != nil {
		v.ToClient = append(telnet, v.ToClient...)
	}
	return v
}

// busy reports whether the client's next line must wait for the server.
func (m *Machine) busy() bool {
	return !m.greeted || m.queue.full() || m.queue.ends() || m.reply.code != 0 && m.reply.hidden
}

// skip leaves out all up to the end of the line, which is refused for why.
func (m *Machine) skip(why Reason) {
	if m.skipping == NoReason {
		m.skipping = why
	}
}

// cutEnd returns the line without its line end and how long that is.
func cutEnd(line []byte) (body []byte, ending int) {
	if bytes.HasSuffix(line, []byte("\r\n")) {
		return line[:len(line)-2], 2
	}
	return line[:len(line)-1], 1
}

// Foreign reports whether a client's first bytes, of a line that has no end
// yet, are another protocol's. A session gives such a line to Client as it is.
func (m *Machine) Foreign(pending []byte) bool {
	return !m.first && m.skipping == NoReason && foreignProtocol(pending)
}

// foreignWords are what begins a line of HTTP, SSH and SMTP and none of FTP.
var foreignWords = []string{
	"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ", "PATCH ", "TRACE ", "PRI ", "HTTP/",
	"SSH-", "EHLO ", "HELO ",
}

// foreignProtocol recognises what browsers, TLS and SSH clients send first. A
// web page can make a browser talk to an FTP port (NAT slipstreaming, ALPACA).
func foreignProtocol(line []byte) bool {
	if len(line) > 0 && line[0] == 0x16 { // a TLS handshake record
		return true
	}
	for _, word := range foreignWords {
		if len(line) >= len(word) && bytes.EqualFold(line[:len(word)], []byte(word)) {
			return true
		}
	}
	return false
}

// command judges a whole command: line with CRLF, body without.
func (m *Machine) command(line, body []byte) Verdict {
	verb, arg := parseVerb(body)
	if why := m.wellFormed(verb, arg, body); why != NoReason {
		return m.offence(why)
	}
	switch {
	case verb.is(setsUp):
		return m.setUp(verb, arg, line)
	case verb == AUTH, verb.is(securityCmd):
		return m.securityCommand(verb, arg, line)
	case verb.is(logsIn) && m.needsTLS():
		return m.refuse(verb, NeedsTLS)
	case verb.is(foreignData) && m.onlyEPSV():
		return m.refuse(verb, AfterEPSVAll)
	case verb.is(foreignData):
		return m.refuse(verb, Unsupported)
	case verb.is(transfers):
		return m.transfer(verb, line)
	case verb == ALGS && m.differ():
		return m.algs(arg)
	case verb == HELP:
		return m.help(arg, line)
	case verb == OPTS:
		return m.options(arg, line)
	case verb == MODE:
		m.queue.push(command{verb: MODE, special: len(arg) == 2 && bytes.ContainsAny(arg[1:], "bBcC")})
		return Verdict{Verb: MODE, ToServer: line}
	case verb == ABOR:
		m.queue.aborting = m.Transferring()
		m.abort()
	}
	return m.forward(verb, line)
}

// wellFormed looks at the bytes of a command before anything else does.
func (m *Machine) wellFormed(verb Verb, arg, body []byte) Reason {
	switch {
	case bytes.IndexByte(body, '\n') >= 0:
		return BadLineEnd
	case bytes.IndexByte(body, '\r') < 0 && bytes.IndexByte(body, 0) < 0:
	case !verb.is(hasPath) || !onlyTelnetCR(arg):
		return BadLineEnd
	}
	if verb == None {
		return NotACommand
	}
	return NoReason
}

// onlyTelnetCR reports whether each CR is followed by NUL and each NUL stands
// behind a CR: the Telnet spelling of a CR in a path (RFC 2640 §3.1).
func onlyTelnetCR(b []byte) bool {
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '\r':
			if i+1 == len(b) || b[i+1] != 0 {
				return false
			}
			i++
		case 0:
			return false
		}
	}
	return true
}

// forward sends a command on and waits for its reply.
func (m *Machine) forward(verb Verb, line []byte) Verdict {
	m.queue.push(command{verb: verb})
	return Verdict{Verb: verb, ToServer: line}
}

// refuse answers a command that the gateway does not pass on.
func (m *Machine) refuse(verb Verb, why Reason) Verdict {
	return m.answer(Verdict{Verb: verb, Refusal: why}, refusals[why])
}

// offence answers a line that is no command. Too many end the session.
func (m *Machine) offence(why Reason) Verdict {
	m.errors++
	v := m.say(Verdict{Verb: Other, Refusal: why}, refusals[why])
	if m.errors > maxErrors || m.cfg.Strict {
		v.End = TooManyErrors
		v.ToClient = append(v.ToClient, refusals[TooManyErrors]...)
	}
	return v
}

// transfer judges a command that uses the data connection.
func (m *Machine) transfer(verb Verb, line []byte) Verdict {
	if m.needsPROT() {
		return m.unprotected(verb)
	}
	if m.loggedIn && m.current == 0 && !m.blockMode && m.queue.count(setsUp|transfers) == 0 {
		return m.refuse(verb, NoDataPort)
	}
	v := m.forward(verb, line)
	v.Transfer = Transfer{Phase: TransferBegan, Direction: verb.Direction()}
	return v
}

// abort closes what the outstanding transfers could still use (RFC 959 §4.1.3,
// ABOR). What a set-up before the ABOR yields later is closed at its reply.
func (m *Machine) abort() {
	mine := true // the current pinhole, until a set-up stands before the transfer
	for i := range m.queue.cmds {
		c := &m.queue.cmds[i]
		mine = mine && !c.verb.is(setsUp)
		if !c.verb.is(transfers) {
			continue
		}
		if c.id == 0 && mine {
			c.id = m.current
		}
		m.close(c.id, Aborted)
	}
	m.close(m.current, Aborted)
}
