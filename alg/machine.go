package alg

import "net/netip"

// How much the gateway bears before it answers 421 and ends the session.
const (
	maxErrors        = 20 // lines of the client that are no FTP command
	maxFailedLogins  = 5  // in a row (RFC 2577 §5)
	maxSurplus       = 16 // final replies in a row that answer no command
	maxSetUps        = 4  // data set-ups without an answer
	maxHeldReply     = 64 << 10
	minDataPort      = 1024 // RFC 2577 §3
	firstX11, endX11 = 6000, 6064
)

// Config is what a Machine must know of its session. The zero value of each
// switch is the careful one.
type Config struct {
	Client, Server netip.Addr // the peers of the two control connections

	Passive, Active bool // which data modes are offered; the others are answered 502
	PeerAddress     bool // PORT may name any address; the client's own is used instead
	Strict          bool // a 227 with a foreign address is refused, a protocol violation ends the session

	TLS      TLS
	Require  bool // TerminateTLS: no login and no data connection without TLS
	Implicit bool // TerminateTLS: the client's connection is TLS from its first byte
	Data     bool // PassTLS: there are ports for data; without them AUTH is refused
	Routed   bool // PassTLS: the client reaches the server's ports without us, so none have to be opened

	// Own are the gateway's own listeners: no pinhole leads to one of them.
	Own []netip.AddrPort
}

// Machine follows one control connection. See the package comment.
type Machine struct {
	cfg   Config
	queue queue

	greeted   bool // the server's 220 has come
	loggedIn  bool // 230, 232 or 202 has come and neither REIN nor a new USER after it
	epsvAll   bool // RFC 2428 §4: the server took EPSV ALL, only EPSV sets up data connections
	blockMode bool // MODE B or C: one data connection may carry several files
	security  security

	asIs                   bool // ALGS DISABLE64: EPSV and EPRT go to the server as they are
	noPASV, noEPSV, noEPRT bool // the server does not know it
	told                   told

	// The client's line.
	first    bool   // the first command has been seen
	crlf     bool   // the first command ended in CRLF, so all must
	skipping Reason // why the line that is being read is left out
	splitCR  bool   // the last piece of a long line ended in CR
	errors   int    // lines that were no FTP command

	// The server's reply.
	reply  reply
	failed int // logins in a row
	extra  int // surplus replies in a row

	lastID  ID
	current ID      // the pinhole of the last set-up that succeeded
	opening opening // between Verdict.Open and Opened or Refused
	through ID      // what admits the data of TLS that passes; 0: none does
	broken  []broken

	plain  []byte // a line without its Telnet commands
	out    []byte // built lines
	due    []byte // the gateway's own replies that come before the next line to the client
	closes []Closing
}

// opening is a pinhole that has been asked for and is not yet there.
type opening struct {
	mode  Mode
	id    ID
	line  []byte // the line to rewrite; nil: write a canonical one
	where span   // the address in line
}

// New returns the machine of a session whose server has yet to greet.
func New(cfg Config) *Machine {
	cfg.Client, cfg.Server = cfg.Client.Unmap().WithZone(""), cfg.Server.Unmap().WithZone("")
	m := &Machine{cfg: cfg, security: newSecurity(cfg)}
	m.queue.push(command{}) // the greeting is the reply to no command
	return m
}

// Transferring reports whether a data command waits for its final reply.
func (m *Machine) Transferring() bool { return m.queue.count(transfers) > 0 }

// LoggedIn reports whether the server has accepted a login.
func (m *Machine) LoggedIn() bool { return m.loggedIn }

// Greeted reports whether the server has greeted with a 220.
func (m *Machine) Greeted() bool { return m.greeted }

// Opened says that the pinhole that the last Verdict asked for is open, and at
// what address and port the other side reaches it. The Verdict that it returns
// has the line that announces it.
func (m *Machine) Opened(at netip.AddrPort) Verdict {
	o := m.opening
	m.opening = opening{}
	m.out, m.closes = m.out[:0], m.closes[:0]
	switch o.mode {
	case ModePASV:
		if !at.Addr().Unmap().Is4() { // no 227 can say it
			return m.unannounced(Verdict{Refusal: NoPinhole, Close: append(m.closes, Closing{o.id, Done})}, NoPinhole)
		}
		return m.announce(o, RewritePASV, "227 Entering Passive Mode (", at, appendTuple, ")\r\n")
	case ModeEPSV:
		return m.announce(o, RewriteEPSV, "229 Entering Extended Passive Mode ", at, appendPortOnly, "\r\n")
	case ModePORT:
		return m.instruct(o, PORT, at)
	case ModeEPRT:
		return m.instruct(o, EPRT, at)
	case ModeAUTH:
		return m.sendAUTH(o)
	}
	return Verdict{}
}

// appendPortOnly is appendExtendedPort for an address and port.
func appendPortOnly(b []byte, at netip.AddrPort) []byte { return appendExtendedPort(b, at.Port()) }

// announce writes the reply to PASV or EPSV: the server's own line with
// another address, or, where that had several lines, a canonical one.
func (m *Machine) announce(o opening, kind Rewrite, before string, at netip.AddrPort, write func([]byte, netip.AddrPort) []byte, after string) Verdict {
	v := Verdict{Rewrite: kind}
	if o.line == nil {
		m.out = append(m.out, before...)
		m.out = write(m.out, at)
		m.out = append(m.out, after...)
	} else {
		m.out = append(m.out, o.line[:o.where.from]...)
		m.out = write(m.out, at)
		m.out = append(m.out, o.line[o.where.to:]...)
	}
	m.supersede(o.id)
	v.ToClient = m.flush(m.out)
	v.Close = m.closes
	return v
}

// instruct writes the PORT or EPRT that the server gets. The client's spelling
// of the command goes: nothing of the line but its meaning matters here. An
// IPv6 address needs EPRT, whatever the client said; an IPv4 address has PORT
// where the client's EPRT was of the other family or the server does not know it.
func (m *Machine) instruct(o opening, asked Verb, at netip.AddrPort) Verdict {
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	verb, kind := EPRT, RewriteEPRT
	if at.Addr().Is4() && (asked == PORT || m.differ() || m.noEPRT) {
		verb, kind = PORT, RewritePORT
	}
	m.told = told{o.id, at}
	m.queue.push(command{verb: verb, asked: asked, id: o.id})
	return Verdict{ToServer: m.tell(verb, at), Number: m.queue.last, Rewrite: kind}
}

// tell writes a PORT or EPRT.
func (m *Machine) tell(verb Verb, at netip.AddrPort) []byte {
	m.out = append(append(m.out[:0], verb.String()...), ' ')
	if verb == PORT {
		m.out = appendTuple(m.out, at)
	} else {
		m.out = appendExtended(m.out, at)
	}
	m.out = append(m.out, '\r', '\n')
	return m.out
}

// Refused says that the pinhole that the last Verdict asked for cannot be had.
// The client gets a 425 (RFC 959 §5.4) in its turn.
func (m *Machine) Refused(why Reason) Verdict {
	o := m.opening
	m.opening = opening{}
	v := Verdict{Refusal: why}
	switch {
	case o.id == 0:
		return Verdict{}
	case o.mode.Passive():
		return m.unannounced(v, why)
	case o.mode == ModeAUTH: // RFC 2228 §3
		return m.answer(v, "431 TLS needs a data path that cannot be had now: try again later\r\n")
	}
	return m.answer(v, refusals[why])
}

// unannounced answers a PASV or EPSV that the server has taken for the gateway.
func (m *Machine) unannounced(v Verdict, why Reason) Verdict {
	v.ToClient = m.flush(append(m.out[:0], refusals[why]...))
	return v
}

// supersede makes id the pinhole of the next transfer and closes the one before.
func (m *Machine) supersede(id ID) {
	m.close(m.current, Replaced)
	m.current = id
}

func (m *Machine) close(id ID, why CloseReason) {
	if id == 0 {
		return
	}
	m.closes = append(m.closes, Closing{id, why})
	if m.current == id {
		m.current = 0
	}
}

// answer replies to the client for the gateway, in step with the server where
// that matters.
func (m *Machine) answer(v Verdict, text string) Verdict {
	if !m.keepsStep() {
		return m.say(v, text)
	}
	m.queue.push(command{verb: NOOP, instead: text})
	m.out = append(m.out[:0], "NOOP\r\n"...)
	v.ToServer = m.out
	return v
}

// say replies to the client. Where commands before it still wait for the
// server, or a reply is half through, it waits too.
func (m *Machine) say(v Verdict, text string) Verdict {
	if m.idle() {
		m.out = append(m.out[:0], text...)
		v.ToClient = m.out
		return v
	}
	m.queue.push(command{local: text})
	return v
}

// flush puts the gateway's own replies whose turn has come round a line that
// goes to the client: before it what has become due, after it what now is.
func (m *Machine) flush(line []byte) []byte {
	if len(m.due) == 0 && !m.queue.ownNext() {
		return line
	}
	line = append(m.due, line...)
	m.due = nil
	for m.queue.ownNext() {
		line = append(line, m.queue.remove(0).local...)
	}
	return line
}
