package replay

import (
	"regexp"
	"strings"
)

// The forms in which people write dialogues and clients log them. A time may
// stand before each, and, as WinSCP has it, behind an arrow.
var (
	timePattern   = `\[?(?:\d{4}-\d{2}-\d{2}[T ])?\d{2}:\d{2}:\d{2}(?:[.,]\d{1,9})?(?:Z|[+-]\d{2}:?\d{2})?\]?`
	leadingTime   = regexp.MustCompile(`^` + timePattern + `[ \t]+`)
	innerTime     = regexp.MustCompile(`^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d{3} `)
	wordForm      = regexp.MustCompile(`^[ \t]*(?i:(c|client)|(s|server)):(?: |$)`)
	arrowForm     = regexp.MustCompile(`^(?:(-{0,4}>)|(<-{0,4}))(?: |$)`)
	fileZillaForm = regexp.MustCompile(`^(?:(\d+ \d+) )?(?:(Command)|(Response)|Status|Error|Trace|Listing|Warning):(?:[ \t]|$)`)
	pythonForm    = regexp.MustCompile(`^\*(?:(cmd)|(resp)|put|get|welcome)\* '(.*)'$`)
	pythonQuoted  = regexp.MustCompile(`^\*(?:(cmd)|(resp)|put|get|welcome)\* "(.*)"$`)
	// What ftpgate trace and explain print: the session, or seconds; who; the line, and what went on in its place.
	gatewayForm = regexp.MustCompile(`^[ \t]*(?:(\d+)  |[+-]\d+\.\d{3}  )?(?:(C)|([SG]))> (.*?)(?:  →  .*)?$`)
	gatewayEnds = regexp.MustCompile(`^\d+  (?:begins: |ends$)`)

	rawReply = regexp.MustCompile(`^[1-6]\d\d[ -]`)

	// What clients say beside the dialogue: curl, lftp, WinSCP, tnftp and its kin.
	chatter = regexp.MustCompile(`^(?:` + strings.Join([]string{
		`#`, `[*{}] `, `----`, `\*\*\*\*`, `[.!*] \d{4}-\d{2}-\d{2} `, `[ \t]+% `, `[ \t]+Dload `, `[ \t]*\d+ +[\d.]+[kMG]? +\d+ `, `\d+ bytes (?:received|sent) `,
		`ftp> `, `Connected to `, `Trying `, `Name \(`, `Password:`, `Remote system type is `, `Using \w+ mode to transfer`,
		`local: `, `remote: `, `EPSV/EPRT on IPv\d o`,
		`setupsockbufsize: `, `remotemodtime: `, `features\[`, `total \d`, `[-dlbcps][-rwxsStT]{9}`, ` *\d+% \|`,
	}, `|`) + `)`)

	// A client is about to make another control connection.
	connects = regexp.MustCompile(`^(?:(?:\d+ \d+ )?Status:[ \t]+Connecting to |---- Connecting to |Connected to )`)
)

// said is what one line of a text says.
type said struct {
	from   side
	text   string
	stream string // which of several connections, where the log says so; "": it does not
	whole  bool   // text has its own line end
	status bool   // it is no line of the dialogue
	fresh  bool   // what comes next is another connection
}

// parse reads a line in one of the forms; ok is false where it is in none.
func parse(line string) (s said, ok bool) {
	line = line[len(leadingTime.FindString(line)):]
	s.fresh = connects.MatchString(line)
	if m := wordForm.FindStringSubmatchIndex(line); m != nil {
		s.from = sideOf(m)
		s.text, s.whole = unescape(line[m[1]:])
		return s, true
	}
	if m := arrowForm.FindStringSubmatchIndex(line); m != nil {
		s.from = sideOf(m)
		rest := line[m[1]:]
		s.text = rest[len(innerTime.FindString(rest)):]
		return s, true
	}
	if m := fileZillaForm.FindStringSubmatchIndex(line); m != nil {
		if m[2] >= 0 {
			s.stream = line[m[2]:m[3]]
		}
		s.status = m[4] < 0 && m[6] < 0
		s.from = sideOf(m[2:])
		s.text = line[m[1]:]
		return s, true
	}
	if m := gatewayForm.FindStringSubmatchIndex(line); m != nil {
		if m[2] >= 0 {
			s.stream = line[m[2]:m[3]]
		}
		s.from = sideOf(m[2:])
		s.text = line[m[8]:m[9]]
		return s, true
	}
	if s, ok := parsePython(line); ok {
		return s, true
	}
	s.status = true
	return s, chatter.MatchString(line) || gatewayEnds.MatchString(line) || s.fresh
}

// sideOf tells by which of the two first groups matched.
func sideOf(m []int) side {
	if m[2] >= 0 {
		return client
	}
	return server
}

// parsePython reads what ftplib prints: strings as Python quotes them. What it
// puts and gets is the same once more.
func parsePython(line string) (s said, ok bool) {
	m := pythonForm.FindStringSubmatchIndex(line)
	if m == nil {
		m = pythonQuoted.FindStringSubmatchIndex(line)
	}
	if m == nil {
		return s, false
	}
	s.status = m[2] < 0 && m[4] < 0
	s.from = sideOf(m)
	s.text, _ = unescape(line[m[6]:m[7]])
	s.text = strings.ReplaceAll(s.text, "\n", "\r\n") // a reply of several lines
	return s, true
}

// unescape reads \r, \n, \t, \\, quotes and \xNN; other backslashes stand for
// themselves. It reports whether the text has a line end of its own.
func unescape(text string) (plain string, whole bool) {
	if !strings.Contains(text, `\`) {
		return text, false
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch c := text[i]; c {
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '\\', '\'', '"':
			b.WriteByte(c)
		case 'x':
			if i+2 < len(text) && isHex(text[i+1]) && isHex(text[i+2]) {
				b.WriteByte(hexValue(text[i+1])<<4 | hexValue(text[i+2]))
				i += 2
				continue
			}
			b.WriteString(`\x`)
		default:
			b.WriteByte('\\')
			b.WriteByte(c)
		}
	}
	plain = b.String()
	return plain, strings.HasSuffix(plain, "\n")
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func hexValue(c byte) byte {
	switch {
	case c >= 'a':
		return c - 'a' + 10
	case c >= 'A':
		return c - 'A' + 10
	}
	return c - '0'
}
