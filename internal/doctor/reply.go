package doctor

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// reply is one of a server. Code 0 is none.
type reply struct {
	code  int
	lines []string // without the code where they have it
}

// String is the last line, as servers say what matters there.
func (r reply) String() string {
	return fmt.Sprintf("%d %s", r.code, shortened(r.lines[len(r.lines)-1]))
}

// shortened bounds what a report quotes of a server.
func shortened(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}

// line is a control connection with a backend.
type line struct {
	conn     net.Conn
	in       *bufio.Reader
	patience time.Duration // for one reply
	end      time.Time     // of the dialogue
}

// mostBytes bounds what a server can have us read.
const mostBytes = 64 << 10

func newLine(conn net.Conn, patience time.Duration, end time.Time) *line {
	return &line{conn, bufio.NewReader(io.LimitReader(conn, mostBytes)), patience, end}
}

func (l *line) ask(command string) (reply, error) {
	if _, err := fmt.Fprintf(l.conn, "%s\r\n", command); err != nil {
		return reply{}, err
	}
	return l.reply()
}

// reply reads one, of several lines if its first has a hyphen behind the code
// (RFC 959 §4.2).
func (l *line) reply() (reply, error) {
	deadline := time.Now().Add(l.patience)
	if l.end.Before(deadline) {
		deadline = l.end
	}
	if err := l.conn.SetDeadline(deadline); err != nil {
		return reply{}, err
	}
	text, err := l.text()
	if err != nil {
		return reply{}, err
	}
	if len(text) == 3 {
		text += " " // RFC 959 wants one; some servers have nothing to say
	}
	code, more, ok := parseCode(text)
	if !ok {
		return reply{}, fmt.Errorf("what it says is not FTP: %q", shortened(text))
	}
	r := reply{code, []string{text[4:]}}
	for more {
		if text, err = l.text(); err != nil {
			return reply{}, err
		}
		if c, hyphen, ok := parseCode(text); ok && c == code {
			text, more = text[4:], hyphen
		}
		r.lines = append(r.lines, text)
	}
	return r, nil
}

func (l *line) text() (string, error) {
	s, err := l.in.ReadString('\n')
	return strings.TrimRight(s, "\r\n"), err
}

func parseCode(text string) (code int, more, ok bool) {
	if len(text) < 4 || text[3] != ' ' && text[3] != '-' {
		return 0, false, false
	}
	for _, digit := range text[:3] {
		if digit < '0' || digit > '9' {
			return 0, false, false
		}
		code = 10*code + int(digit-'0')
	}
	return code, text[3] == '-', true
}
