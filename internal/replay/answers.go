package replay

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"

	"ftpgate/alg"
)

// sent is a command of the recording whose reply in the recording is still to come.
type sent struct {
	at     int
	number uint32 // the machine's; 0: not known
	passed bool   // the server got it, or something in its place
	asked  string // PASV, EPSV or NOOP, where the server got that in its place
}

// reply is the server's reply that is being read.
type reply struct {
	code   int // of its first line; 0: between replies
	inside bool
	last   bool
	out    int // the line of the command that it answers, which the server would not have got; 0: it would
}

// serverLine plays a line of the server. A reply to what the gateway answers by
// itself is left out: the server would not have given it.
func (p *player) serverLine(at int, line []byte) {
	l := &Line{Session: p.number, At: at, From: server.String(), Text: string(p.redactor.Server(nil, line))}
	r, whole := &p.reply, bytes.HasSuffix(line, []byte("\n"))
	first := r.code == 0 && !r.inside
	if first {
		r.code = codeOf(line)
		r.out = p.leftOut(r.code)
	}
	if !r.inside {
		r.last = r.code == 0 || endsReply(line, r.code, first)
	}
	simple := whole && !r.inside
	r.inside = !whole
	if r.out != 0 {
		l.Fate = leftOut
		l.Did = append(l.Did, fmt.Sprintf("left out: it answers line %d, which the gateway would have answered itself", r.out))
		p.sum.LeftOut++
	} else {
		if simple && first && r.last {
			line = p.reword(l, line)
		}
		p.judgeReply(l, line, first)
	}
	if whole && r.last {
		*r = reply{}
	}
	p.tell(l)
}

// judgeReply gives the machine a line of the server and tells what becomes of it.
func (p *player) judgeReply(l *Line, line []byte, first bool) {
	was := bytes.Clone(line)
	v := p.m.Server(line)
	judged, answers, code := v, v.Answers, v.Code
	v = p.carryOut(l, v)
	p.serverFate(l, was, v)
	p.redactor.Answered(judged)
	switch {
	case first && p.reply.code == 0 && l.Fate == passed:
		l.Did = append(l.Did, "it begins no reply")
	case l.Fate == passed && code >= 200 && code != 421 && answers == 0:
		l.Did = append(l.Did, "no command waits for a reply")
	}
	if code >= 200 && answers != 0 {
		p.answered(answers)
	}
	if len(v.ToServer) > 0 {
		p.askedAgain(l, was)
	}
	switch {
	case v.End != alg.NoReason:
		p.end(l, v.End)
	case v.Secure == alg.GoThrough && len(p.waiting) > 0: // they stand in clear behind AUTH
		p.end(l, alg.Injection)
	}
}

// leftOut returns the line of the command that a reply with this code answers,
// if the server would not have got that; else 0.
func (p *player) leftOut(code int) int {
	if code == 0 || code == 421 || len(p.sent) == 0 || p.sent[0].passed {
		return 0
	}
	at := p.sent[0].at
	if code >= 200 {
		p.sent = p.sent[1:]
	}
	return at
}

// answered takes the command that a final reply was for from those that wait.
func (p *player) answered(number uint32) {
	i := slices.IndexFunc(p.sent, func(s sent) bool { return s.number == number })
	if i < 0 {
		i = slices.IndexFunc(p.sent, func(s sent) bool { return s.passed && s.number == 0 })
	}
	if i >= 0 {
		p.sent = slices.Delete(p.sent, i, i+1)
	}
}

var (
	extendedPort = regexp.MustCompile(`^229 .*\(\D{3}(\d{1,5})\D\)`)
	portTuple    = regexp.MustCompile(`^227 .*?\d+,\d+,\d+,\d+,(\d{1,3}),(\d{1,3})`)
)

// reword reads a 229 as the 227 that the server would have answered if it had
// been asked by PASV, as the gateway would have done; and the reverse.
func (p *player) reword(l *Line, line []byte) []byte {
	if len(p.sent) == 0 || p.sent[0].asked == "" {
		return line
	}
	if p.sent[0].asked == "NOOP" {
		l.Did = append(l.Did, "taken as the answer to the NOOP")
		return line
	}
	var text string
	switch m, n := extendedPort.FindSubmatch(line), portTuple.FindSubmatch(line); {
	case m != nil && p.sent[0].asked == "PASV" && p.at.server.Is4():
		port, h := decimal(m[1]), p.at.server.As4()
		text = fmt.Sprintf("227 Entering Passive Mode (%d,%d,%d,%d,%d,%d)\r\n", h[0], h[1], h[2], h[3], port>>8, port&255)
	case n != nil && p.sent[0].asked == "EPSV":
		text = fmt.Sprintf("229 Entering Extended Passive Mode (|||%d|)\r\n", decimal(n[1])<<8|decimal(n[2]))
	default:
		return line
	}
	l.Did = append(l.Did, fmt.Sprintf("the server would have been asked by %s: taken as %s", p.sent[0].asked, text[:len(text)-2]))
	return []byte(text)
}

func decimal(digits []byte) int {
	n := 0
	for _, d := range digits {
		n = n*10 + int(d-'0')
	}
	return n
}

// askedAgain follows a refusal at which the gateway asks the server by another
// command. The recording cannot say what becomes of that, so it goes on as
// recorded: with the refusal.
func (p *player) askedAgain(l *Line, refusal []byte) {
	l.Did = append(l.Did, "the recording cannot say what the server answers to that: it is taken as refused too")
	v := p.m.Server(refusal)
	answers, code := v.Answers, v.Code
	v = p.carryOut(l, v)
	l.Fate = passed
	if len(v.ToClient) > 0 {
		l.Did = append(l.Did, "passed on then")
	}
	if code >= 200 && answers != 0 {
		p.answered(answers)
	}
}

// codeOf returns the code that a line begins a reply with, or 0 (RFC 959 §4.2).
func codeOf(line []byte) int {
	if len(line) < 4 || line[0] < '1' || line[0] > '6' || !digit(line[1]) || !digit(line[2]) || bytes.IndexByte([]byte(" -\r\n"), line[3]) < 0 {
		return 0
	}
	return decimal(line[:3])
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// endsReply reports whether a line is the last of a reply with this code.
func endsReply(line []byte, code int, first bool) bool {
	if first {
		return line[3] != '-'
	}
	return len(line) > 3 && line[3] == ' ' && digit(line[0]) && digit(line[1]) && digit(line[2]) && decimal(line[:3]) == code
}
