package replay

import (
	"bytes"
	"slices"

	"ftpgate/alg"
)

// greets reports whether the dialogue begins as a control connection does: with
// the server's greeting, which may be a refusal. Clients that do not wait for it
// may have spoken before.
func (p *player) greets() bool {
	early := false
	for _, part := range p.dialogue.parts {
		switch code := codeOf(part.bytes); {
		case part.missing > 0:
			return false
		case part.note != "":
		case part.from == client:
			early = true
		case early:
			return code == 220 || code == 120
		default: // what is no greeting at all is for the machine to say
			return code == 0 || code == 220 || code == 120 || code >= 400
		}
	}
	return !early
}

// prime brings a new machine to where a recording sets in: greeted, and logged in
// unless the rest has a login of its own. It returns what it has assumed, in words.
func (p *player) prime(rest []part) string {
	p.m = alg.New(p.options.Service.Machine(p.at.client, p.at.server, p.options.Own))
	p.m.Server([]byte("220 \r\n"))
	if slices.ContainsFunc(rest, logsIn) {
		return "it is taken as given"
	}
	words := "a login is taken as given"
	if tls := p.options.Service.TLS; tls.Mode == alg.TerminateTLS && tls.Require {
		for _, line := range []string{"AUTH TLS\r\n", "PBSZ 0\r\n", "PROT P\r\n"} {
			p.m.Client([]byte(line))
		}
		words = "a login is taken as given, and the TLS that the service requires"
	}
	p.m.Client([]byte("USER a\r\n"))
	p.m.Server([]byte("230 \r\n"))
	return words
}

// logsIn reports whether a client says what comes before a login is complete.
func logsIn(part part) bool {
	if part.from != client || part.note != "" {
		return false
	}
	for line := range bytes.Lines(part.bytes) {
		if v := alg.VerbOf(line); v == alg.USER || v == alg.AUTH {
			return true
		}
	}
	return false
}

// gap tells of bytes that are missing, and begins anew behind them.
func (p *player) gap(gap part, rest []part) {
	p.sum.Missing += gap.missing
	text := number(gap.missing, "byte") + " of the " + gap.from.String() + plural(gap.missing, " is", " are") + " missing in the recording"
	if p.over {
		p.note(gap.at, text)
		return
	}
	p.torn[gap.from] = true
	p.lines[gap.from].Rest()
	p.waiting, p.sent, p.reply, p.running = nil, nil, reply{}, 0
	p.redactor = alg.Redactor{}
	p.dropPinholes()
	p.note(gap.at, text+": the gateway's view of this session begins anew, and "+p.prime(rest))
}
