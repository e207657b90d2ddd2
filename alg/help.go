package alg

import "bytes"

// help judges HELP: of a command that is not the server's the gateway knows better.
func (m *Machine) help(arg, line []byte) Verdict {
	arg = bytes.Trim(arg, " ")
	if len(arg) > 0 {
		verb, _ := parseVerb(arg)
		switch m.standing(verb) {
		case notHere:
			return m.answer(Verdict{Verb: HELP, Refusal: Unsupported}, "502 The gateway does not let this command through\r\n")
		case own:
			return m.answer(Verdict{Verb: HELP}, helpOf(verb))
		}
	}
	m.queue.push(command{verb: HELP, special: len(arg) == 0})
	return Verdict{Verb: HELP, ToServer: line}
}

func helpOf(verb Verb) (text string) {
	for i := range offers {
		if offers[i].verb == verb {
			text = offers[i].help
		}
	}
	return text
}

// options judges OPTS (RFC 2389 §4): what FEAT does not offer has none, and what
// the gateway adds has none either.
func (m *Machine) options(arg, line []byte) Verdict {
	verb, _ := parseVerb(bytes.Trim(arg, " "))
	if s := m.standing(verb); s == notHere || s == own {
		return m.answer(Verdict{Verb: OPTS, Refusal: Unsupported}, "501 The gateway has no options for this command\r\n")
	}
	return m.forward(OPTS, line)
}

// blankHelp blanks out, where a line of help names commands in capitals, those
// that the gateway refuses. The columns stay.
func (m *Machine) blankHelp(line []byte) (changed Rewrite) {
	for from := 0; from < len(line); {
		to := from
		for to < len(line) && inWord(line[to]) {
			to++
		}
		if to == from {
			from++
			continue
		}
		if verb := capitals(line[from:to]); verb != None {
			m.reply.name(verb)
			if m.standing(verb) == notHere {
				copy(line[from:to], "    ")
				changed = RewriteHELP
			}
		}
		from = to
	}
	return changed
}

// capitals returns the command that a word is, or None.
func capitals(word []byte) Verb {
	if len(word) > 4 || bytes.ContainsFunc(word, func(r rune) bool { return r < 'A' || r > 'Z' }) {
		return None
	}
	verb, _ := parseVerb(word)
	return verb
}

// inWord reports whether a byte is part of a word.
func inWord(c byte) bool { return isLetter(c) || isDigit(c) || c == '_' || c >= 0x80 }

// appendHelp writes a line with the commands that are there besides those that
// the server has named.
func (m *Machine) appendHelp(b []byte) []byte {
	const says = " The gateway adds:"
	from := len(b)
	b = append(b, says...)
	for i := range offers {
		if m.adds(i, m.reply.named) && m.reply.named&(1<<i) == 0 {
			b = append(append(b, ' '), offers[i].verb.String()...)
		}
	}
	if len(b) == from+len(says) {
		return b[:from]
	}
	return append(b, '\r', '\n')
}
