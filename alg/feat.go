package alg

import "bytes"

// standing is what becomes of a command here, whatever the server knows.
type standing uint8

const (
	theServers standing = iota // it goes through
	notHere                    // the gateway refuses it
	own                        // the gateway answers it
	shared                     // the gateway does it even where the server cannot
)

// standing returns what becomes of a command.
func (m *Machine) standing(v Verb) standing {
	switch {
	case v.is(foreignData), v.is(setsUpPassive) && !m.cfg.Passive, v.is(setsUpActive) && !m.cfg.Active:
		return notHere
	case v == AUTH, v.is(securityCmd):
		return m.securityStanding(v)
	case v == ALGS && m.differ():
		return own
	case (v == EPSV || v == EPRT) && m.cfg.Server.Is4() && !m.asIs: // by PASV and PORT
		return shared
	}
	return theServers
}

func (m *Machine) securityStanding(v Verb) standing {
	switch {
	case m.passes():
		return theServers
	case m.cfg.TLS != TerminateTLS:
		return notHere
	case v == AUTH && !m.cfg.Implicit, v == PBSZ, v == PROT, v == CCC && !m.cfg.Require:
		return own
	}
	return notHere
}

// offers are the commands that the gateway may have to add to what a server
// says of itself: as FEAT has them, and as HELP does.
var offers = [...]struct {
	verb          Verb
	feature, help string
}{
	{AUTH, " AUTH TLS\r\n", "214 AUTH TLS (or TLS-C, TLS-P, SSL): RFC 4217\r\n"},
	{PBSZ, " PBSZ\r\n", "214 PBSZ 0: RFC 4217\r\n"},
	{PROT, " PROT\r\n", "214 PROT C or PROT P: RFC 4217\r\n"},
	{CCC, " CCC\r\n", "214 CCC: RFC 4217\r\n"},
	{EPRT, " EPRT\r\n", ""},
	{EPSV, " EPSV\r\n", ""},
	{ALGS, "", "214 ALGS STATUS64, ENABLE64 or DISABLE64: RFC 6384\r\n"},
}

// adds reports whether the gateway adds an offer to a reply in which the server
// has named those of the bits in named.
func (m *Machine) adds(offer int, named uint8) bool {
	s := m.standing(offers[offer].verb)
	return s == own || s == shared && named&(1<<offer) == 0
}

// name notes that the server itself has named a command.
func (r *reply) name(v Verb) {
	for i := range offers {
		if offers[i].verb == v {
			r.named |= 1 << i
		}
	}
}

// describes returns FEAT or HELP where the current reply says what the server
// can do (RFC 2389 §3.2, RFC 959 §4.1.3), else None.
func (m *Machine) describes() Verb {
	if m.reply.index < 0 {
		return None
	}
	switch c := &m.queue.cmds[m.reply.index]; {
	case c.verb == FEAT && m.reply.code == 211:
		return FEAT
	case c.verb == HELP && c.special && (m.reply.code == 211 || m.reply.code == 214):
		return HELP
	}
	return None
}

// describe judges a whole line of a reply to FEAT or HELP that is not its last.
func (m *Machine) describe(of Verb, line []byte, first bool) Verdict {
	switch {
	case of == HELP:
		return Verdict{ToClient: line, Rewrite: m.blankHelp(line)}
	case first:
		return Verdict{ToClient: line}
	}
	verb, _ := parseVerb(bytes.TrimRight(feature(line), "\r\n"))
	m.reply.name(verb)
	if s := m.standing(verb); s == theServers || s == shared {
		return Verdict{ToClient: line}
	}
	lost := verb == AUTH && m.cfg.TLS != TerminateTLS
	return Verdict{Rewrite: RewriteFEAT, TLSLost: lost}
}

// feature returns what a line within the reply to FEAT says. RFC 2389 §3.2 asks
// for one space before it; some servers write the code and a hyphen.
func feature(line []byte) []byte {
	return bytes.TrimLeft(bytes.TrimPrefix(line, []byte("211-")), " ")
}

// describeLast judges the last line of a reply to FEAT or HELP, and puts what
// the gateway adds before it.
func (m *Machine) describeLast(of Verb, line []byte, first bool) Verdict {
	kind := RewriteFEAT
	var added []byte
	if of == HELP {
		kind = m.blankHelp(line)
		if added = m.appendHelp(m.out[:0]); first { // one line has no room
			added = nil
		}
	} else {
		added = m.appendFeatures(m.out[:0])
	}
	if len(added) == 0 {
		v := m.finish(line)
		if of == HELP {
			v.Rewrite = kind
		}
		return v
	}
	if of == HELP {
		kind = RewriteHELP
	}
	if first {
		return m.finishFeatures()
	}
	m.out = append(added, line...)
	v := m.finish(m.out)
	v.Rewrite = kind
	return v
}

// finishFeatures answers FEAT for a server that has no features to name.
func (m *Machine) finishFeatures() Verdict {
	m.reply.code = 211
	m.out = append(m.appendFeatures(append(m.out[:0], "211-Features:\r\n"...)), "211 End\r\n"...)
	v := m.finish(m.out)
	v.Rewrite = RewriteFEAT
	return v
}

func (m *Machine) appendFeatures(b []byte) []byte {
	for i := range offers {
		if m.adds(i, m.reply.named) {
			b = append(b, offers[i].feature...)
		}
	}
	return b
}

// hasFeatures reports whether the gateway has features of its own.
func (m *Machine) hasFeatures() bool { return len(m.appendFeatures(m.out[:0])) > 0 }
