package alg

// Telnet commands (RFC 854). FTP's control connection is a Telnet NVT
// (RFC 959 §2.3); all that FTP clients use of it is the Synch before ABOR.
const (
	iac  = 255
	dont = 254
	do   = 253
	wont = 252
	will = 251
	sb   = 250
	se   = 240
)

// stripTelnet takes Telnet commands out of a line, in place. A doubled IAC is
// a literal 0xFF and stays doubled, and so does a lone one before a byte that
// is no Telnet command: a path in an old character set. At the beginning of a
// line there is no path, and the command behind it must be seen. Options are
// refused here, not relayed (RFC 1123 §4.1.2.12, RFC 6384 §4): answers is what
// the client gets for them.
func stripTelnet(b []byte) (out, answers []byte, stripped bool) {
	out = b[:0]
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == iac && len(out) == 0 && (i+1 == len(b) || b[i+1] < se):
			stripped = true // what is left of a Synch whose DM got lost on the way
		case b[i] != iac || i+1 == len(b) || b[i+1] < se:
			out = append(out, b[i])
		case b[i+1] == iac:
			out = append(out, iac, iac)
			i++
		default:
			stripped = true
			var answer []byte
			i, answer = telnetCommand(b, i+1)
			answers = append(answers, answer...)
		}
	}
	return out, answers, stripped
}

// telnetCommand reads the command at b[i] behind its IAC. It returns the index
// of the command's last byte and the refusal of an option.
func telnetCommand(b []byte, i int) (last int, answer []byte) {
	switch b[i] {
	case will, wont, do, dont:
		if i+1 == len(b) {
			return i, nil
		}
		switch b[i] {
		case will:
			answer = []byte{iac, dont, b[i+1]}
		case do:
			answer = []byte{iac, wont, b[i+1]}
		}
		return i + 1, answer
	case sb:
		for j := i + 1; j+1 < len(b); j++ {
			if b[j] == iac && b[j+1] == se {
				return j + 1, nil
			}
		}
		return len(b) - 1, nil
	}
	return i, nil
}
