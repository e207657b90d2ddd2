package alg

import (
	"bytes"
	"net/netip"
)

// active judges PORT and EPRT and asks for the pinhole that the server will
// dial. It must be there before the command goes on: some servers dial at once.
func (m *Machine) active(verb Verb, arg []byte) Verdict {
	at, mode, why := m.activeAddress(verb, arg)
	if verb == EPRT && m.asIs && why == NoReason { // as it is the server could not dial it
		return m.answer(Verdict{Verb: verb, Refusal: BadFamily}, "522 Network protocol not supported, use (1)\r\n")
	}
	if why == BadFamily {
		f, _ := extendedFields(bytes.TrimLeft(arg, " "))
		return m.wrongFamily(verb, f[0])
	}
	if why == NoReason {
		at, why = m.clientPort(at)
	}
	if why != NoReason {
		return m.refuse(verb, why)
	}
	m.lastID++
	m.opening = opening{mode: mode, id: m.lastID}
	return Verdict{Verb: verb, Open: Open{ID: m.lastID, Mode: mode, To: at, Private: m.security.private}}
}

// activeAddress reads the argument of PORT or EPRT.
func (m *Machine) activeAddress(verb Verb, arg []byte) (netip.AddrPort, Mode, Reason) {
	if len(arg) < 2 {
		return netip.AddrPort{}, 0, BadSyntax
	}
	arg = arg[1:]
	if arg[0] == ' ' { // one blank too many is common
		arg = arg[1:]
	}
	if verb == PORT {
		at, ok := parseTuple(arg)
		if !ok {
			return at, ModePORT, BadSyntax
		}
		return at, ModePORT, NoReason
	}
	at, why := m.extendedAddress(arg)
	return at, ModeEPRT, why
}

// extendedAddress reads the argument of EPRT (RFC 2428 §2).
func (m *Machine) extendedAddress(arg []byte) (at netip.AddrPort, why Reason) {
	f, ok := extendedFields(arg)
	if !ok || len(f[0]) == 0 || len(f[0]) > 3 || !allDigits(f[0]) {
		return at, BadSyntax
	}
	if family := string(f[0]); family != "1" && family != "2" {
		return at, BadFamily
	}
	if len(f[1]) > 45 { // no address is longer
		return at, BadSyntax
	}
	addr, err := netip.ParseAddr(string(f[1]))
	port, ok := parsePort(f[2])
	if err != nil || !ok || addr.Zone() != "" || addr.Is4() != (f[0][0] == '1') {
		return at, BadSyntax
	}
	if addr.Is6() && addr.IsLinkLocalUnicast() { // means nothing on the other side of the gateway
		return at, BadSyntax
	}
	if addr = addr.Unmap(); addr.Is4() != m.cfg.Client.Is4() {
		return at, BadFamily
	}
	return netip.AddrPortFrom(addr, port), NoReason
}

// clientPort decides whether a server may be told to dial at (RFC 2577 §3).
func (m *Machine) clientPort(at netip.AddrPort) (netip.AddrPort, Reason) {
	if m.cfg.PeerAddress {
		at = netip.AddrPortFrom(m.cfg.Client, at.Port())
	}
	port := at.Port()
	switch {
	case at.Addr() != m.cfg.Client:
		return at, Bounce
	case port < minDataPort, port >= firstX11 && port < endX11, m.own(at):
		return at, BadPort
	}
	return at, NoReason
}
