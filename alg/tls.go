package alg

import (
	"bytes"
	"strconv"
)

// TLS is what becomes of a client's AUTH (RFC 4217).
type TLS uint8

// The zero TLS refuses.
const (
	RefuseTLS    TLS = iota // 534; FEAT does not offer it
	PassTLS                 // the server's TLS, end to end: after its 234 the gateway sees nothing
	TerminateTLS            // the gateway is the TLS server
)

// Secure is a change of the client's control connection, made after the writes
// of the verdict that asks for it.
type Secure uint8

// The zero Secure: no change.
const (
	StartTLS  Secure = iota + 1 // the client's TLS handshake comes next
	EndTLS                      // TLS ends (RFC 4217 §5, §13); the connection goes on in clear
	GoThrough                   // both connections carry TLS that is not ours, until it ends and Machine.Resumed is called
)

// security is where RFC 4217 has got to with the client, where the gateway is
// its TLS server.
type security struct {
	on      bool // the control connection is TLS
	sized   bool // PBSZ has come, so PROT may
	private bool // PROT P: so are the data connections
	cleared bool // CCC has come: there was TLS, and what it agreed on stays
}

// newSecurity returns the state of a session that begins, or begins anew.
func newSecurity(cfg Config) security {
	implicit := cfg.TLS == TerminateTLS && cfg.Implicit
	return security{on: implicit, sized: implicit, private: implicit}
}

// needsTLS reports whether the client must send AUTH before it may log in.
func (m *Machine) needsTLS() bool {
	return m.cfg.Require && m.cfg.TLS == TerminateTLS && !m.security.on
}

// needsPROT reports whether the client must send PROT P before it may have a
// data connection.
func (m *Machine) needsPROT() bool {
	return m.cfg.Require && m.cfg.TLS == TerminateTLS && !m.security.private
}

// unprotected answers what would use a data connection in clear where none may be.
func (m *Machine) unprotected(verb Verb) Verdict {
	return m.answer(Verdict{Verb: verb, Refusal: NeedsTLS}, "521 Data connection cannot be opened with this PROT setting\r\n")
}

// mechanism reports whether AUTH may name it (RFC 4217 §17: TLS and TLS-C, SSL
// and TLS-P by custom), and whether PROT P is agreed on with it.
func mechanism(arg []byte) (known, private bool) {
	switch {
	case bytes.EqualFold(arg, []byte("TLS")), bytes.EqualFold(arg, []byte("TLS-C")):
		return true, false
	case bytes.EqualFold(arg, []byte("SSL")), bytes.EqualFold(arg, []byte("TLS-P")):
		return true, true
	}
	return false, false
}

// securityCommand judges AUTH and the commands that mean nothing without it.
func (m *Machine) securityCommand(verb Verb, arg, line []byte) Verdict {
	arg = bytes.Trim(arg, " ")
	switch {
	case m.cfg.TLS == RefuseTLS && verb == AUTH:
		return m.refuse(verb, NoTLS)
	case m.cfg.TLS == RefuseTLS:
		return m.answer(Verdict{Verb: verb, Refusal: NoTLS}, noProtection)
	case verb == AUTH:
		return m.auth(arg, line)
	case m.cfg.TLS == PassTLS:
		return m.outOfOrder(verb, noProtection)
	}
	switch verb {
	case PBSZ:
		return m.bufferSize(arg)
	case PROT:
		return m.protectionLevel(arg)
	case CCC:
		return m.clearCommands()
	}
	return m.outOfOrder(verb, noProtection) // ADAT, MIC, ENC, CONF: of mechanisms that are not offered
}

// outOfOrder refuses a security command before or behind its time.
func (m *Machine) outOfOrder(verb Verb, text string) Verdict {
	return m.answer(Verdict{Verb: verb, Refusal: OutOfOrder}, text)
}

// auth judges AUTH (RFC 4217 §4). Nothing may be outstanding when it is
// answered: what comes behind the answer is TLS.
func (m *Machine) auth(arg, line []byte) Verdict {
	known, private := mechanism(arg)
	switch {
	case len(arg) == 0:
		return m.refuse(AUTH, BadSyntax)
	case !known:
		return m.answer(Verdict{Verb: AUTH, Refusal: BadProtection}, "504 Of the security mechanisms there is only TLS\r\n")
	case m.security.on, m.security.cleared:
		return m.outOfOrder(AUTH, "503 TLS has been negotiated already\r\n")
	case m.cfg.TLS == PassTLS:
		return m.passAUTH(line)
	case !m.idle():
		return Verdict{Wait: true}
	case m.loggedIn:
		return m.outOfOrder(AUTH, "503 AUTH comes before the login\r\n")
	}
	m.security = security{on: true, private: private}
	v := m.say(Verdict{Verb: AUTH}, "234 AUTH accepted: the TLS handshake comes next\r\n")
	v.Secure = StartTLS
	return v
}

// idle reports whether no reply is outstanding or half through.
func (m *Machine) idle() bool {
	return m.queue.settled() && m.reply.code == 0 && !m.reply.inside
}

// bufferSize judges PBSZ. TLS has no use for a size (RFC 4217 §9), so it is 0.
func (m *Machine) bufferSize(arg []byte) Verdict {
	if !m.security.on {
		return m.outOfOrder(PBSZ, noProtection)
	}
	if _, err := strconv.ParseUint(string(arg), 10, 32); err != nil || !allDigits(arg) {
		return m.refuse(PBSZ, BadSyntax)
	}
	m.security.sized = true
	return m.answer(Verdict{Verb: PBSZ}, "200 PBSZ=0\r\n")
}

// protectionLevel judges PROT (RFC 4217 §9). It waits for a set-up that is
// under way, whose level would be a guess otherwise.
func (m *Machine) protectionLevel(arg []byte) Verdict {
	level := byte(0)
	if len(arg) == 1 {
		level = arg[0] &^ ('a' - 'A')
	}
	switch {
	case !m.security.on:
		return m.outOfOrder(PROT, noProtection)
	case !m.security.sized:
		return m.outOfOrder(PROT, "503 PBSZ comes before PROT\r\n")
	case len(arg) == 0:
		return m.refuse(PROT, BadSyntax)
	case level == 'S', level == 'E':
		return m.answer(Verdict{Verb: PROT, Refusal: BadProtection}, "536 TLS has the levels C and P alone\r\n")
	case level != 'C' && level != 'P':
		return m.answer(Verdict{Verb: PROT, Refusal: BadProtection}, "504 There is no such protection level\r\n")
	case level == 'C' && m.cfg.Require:
		return m.answer(Verdict{Verb: PROT, Refusal: NeedsTLS}, "534 Data goes over TLS here: PROT P is required\r\n")
	case m.queue.count(setsUp) > 0:
		return Verdict{Wait: true}
	}
	m.setLevel(level == 'P')
	return m.answer(Verdict{Verb: PROT}, "200 Protection level set\r\n")
}

// setLevel makes data connections private or clear. One that was set up for the
// other level, and that nothing uses yet, cannot serve any more.
func (m *Machine) setLevel(private bool) {
	if m.security.private != private && m.queue.count(transfers) == 0 {
		m.close(m.current, Aborted)
	}
	m.security.private = private
}

// clearCommands judges CCC (RFC 4217 §5). As with AUTH, nothing may be
// outstanding when it is answered: what comes behind the answer is clear.
func (m *Machine) clearCommands() Verdict {
	switch {
	case !m.security.on:
		return m.answer(Verdict{Verb: CCC, Refusal: OutOfOrder}, "533 The control connection is in clear\r\n")
	case m.cfg.Require:
		return m.answer(Verdict{Verb: CCC, Refusal: NeedsTLS}, "534 TLS is required here\r\n")
	case !m.idle():
		return Verdict{Wait: true}
	}
	m.security.on, m.security.cleared = false, true
	v := m.say(Verdict{Verb: CCC}, "200 The control connection goes on in clear\r\n")
	v.Secure = EndTLS
	return v
}

// renewSecurity follows REIN (RFC 4217 §13): its reply is still protected, what
// comes then is as before AUTH. Implicit TLS is there as long as the connection
// is; once CCC has ended it nothing can bring it back.
func (m *Machine) renewSecurity(v *Verdict) {
	v.Restart = true
	if m.cfg.Implicit && m.security.cleared {
		return
	}
	was := m.security
	m.security = newSecurity(m.cfg)
	if was.on && !m.security.on {
		v.Secure = EndTLS
	}
}
