package alg

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// A Redactor says what of the lines of one control connection may be shown to
// people: all but what is a password, or may be one. It follows the verdicts of
// the session's machine, so that both read a line in the same way. The zero
// Redactor is that of a session that begins.
//
// The server gets every password, and some repeat what they got in their answer.
// So the argument of a PASS is kept until its answer has come, and text of the
// server with a part of it is not shown meanwhile. An answer that repeats it in
// another spelling, or later, is beyond this.
type Redactor struct {
	secret  []byte // what the server may repeat
	number  uint32 // of the command that told it, and waits for its answer; 0: none does
	blind   bool   // secret is not all that it may repeat: no text of it is shown until the answer
	skipped int    // bytes of a line that is refused at its end
}

// MaxText is how much of a line is shown, in bytes, without the ellipsis behind it.
const MaxText = 200

const (
	ellipsis   = "…"
	hiddenText = "[text hidden]"
	hiddenArg  = " ****"
	maxSecret  = 64 // a longer one is not looked for
	partSecret = 4  // as much of one is never shown
	maxSite    = 16 // a longer word is no command of SITE
)

// Client appends what may be shown of a line of the client, without its line
// end. v is what Machine.Client has said of the line. For a piece of a line it
// appends nothing; the last piece accounts for all.
func (r *Redactor) Client(b, line []byte, v Verdict) []byte {
	r.skipped += len(line)
	if v.Verb == None && v.Refusal == NoReason {
		return b
	}
	n := r.skipped
	r.skipped = 0
	line = plainLine(line)
	verb, arg := parseVerb(line)
	switch {
	case v.Verb == None, v.Verb == Other && v.Refusal != NoReason:
		return appendBytes(b, "malformed line", n)
	case v.Verb != verb: // the machine knows better, and we no more than that
		return append(append(b, v.Verb.String()...), hiddenArg...)
	case verb == Other && !harmless(line[:len(line)-len(arg)]): // a password that was typed too early, for example
		r.keep(nil, v)
		return appendBytes(b, "unknown command", n)
	case verb == SITE:
		return r.site(b, line, v)
	case len(arg) > 0 && (verb == Other || verb.hidesArg()):
		r.keep(arg[1:], v)
		return append(bytesToUpper(b, line[:len(line)-len(arg)]), hiddenArg...)
	}
	return AppendText(b, line)
}

// VerbOf returns the command that a line of a client begins with, or None.
func VerbOf(line []byte) Verb {
	verb, _ := parseVerb(plainLine(line))
	return verb
}

// Server appends what may be shown of a line that the server has said, as it
// came or as the client gets it.
func (r *Redactor) Server(b, line []byte) []byte {
	line = cutLine(line)
	if r.number == 0 || !r.blind && !r.repeats(line) {
		return AppendText(b, line)
	}
	if len(line) >= 4 && replyCode(line) != 0 {
		b = append(b, line[:4]...)
	}
	return append(b, hiddenText...)
}

// Answered forgets what the server may have repeated in an answer. v is what
// Machine.Server has said of the line that was its last.
func (r *Redactor) Answered(v Verdict) {
	if r.number == 0 || v.Answers != r.number || v.Code < 200 {
		return
	}
	clear(r.secret)
	r.secret, r.number, r.blind = r.secret[:0], 0, false
}

// keep keeps what the server must not be seen to repeat; nil: all of the line.
func (r *Redactor) keep(secret []byte, v Verdict) {
	if v.Number == 0 || v.Refusal != NoReason { // the server does not hear of it
		return
	}
	secret = bytes.Trim(secret, " ")
	plain := len(secret) > 0 && len(secret) <= maxSecret && !bytes.ContainsFunc(secret, func(c rune) bool { return c < ' ' || c > '~' })
	r.blind = r.blind || r.number != 0 || !plain
	r.number = v.Number
	if r.secret = r.secret[:0]; plain {
		r.secret = append(r.secret, secret...)
	}
}

// repeats reports whether a part of the secret is in a text, in either case.
func (r *Redactor) repeats(text []byte) bool {
	part := min(len(r.secret), partSecret)
	text = text[:min(len(text), MaxText+maxSecret)]
	for from := range len(text) - part + 1 {
		for i := range len(r.secret) - part + 1 {
			if bytes.EqualFold(text[from:from+part], r.secret[i:i+part]) {
				return true
			}
		}
	}
	return false
}

// site appends what may be shown of a SITE: some have passwords as arguments.
func (r *Redactor) site(b, line []byte, v Verdict) []byte {
	rest := bytes.TrimLeft(line[len("SITE"):], " ")
	word, arg, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case len(rest) == 0, isOneOf(word, "CHMOD", "UMASK", "IDLE", "HELP", "UTIME"):
		return AppendText(b, line)
	case len(word) > maxSite, bytes.ContainsFunc(word, func(c rune) bool { return c > unicode.MaxASCII || !unicode.IsLetter(c) }):
		word, arg = nil, rest
	}
	b = append(b, "SITE"...)
	if len(word) > 0 {
		b = append(append(b, ' '), word...)
	}
	if len(arg) > 0 {
		r.keep(arg, v)
		b = append(b, hiddenArg...)
	}
	return b
}

// hidesArg reports whether a command's argument is, or may have in it, a password
// (RFC 959 §4.1.1, RFC 2228 §3).
func (v Verb) hidesArg() bool {
	switch v {
	case PASS, ACCT, ADAT, MIC, CONF, ENC:
		return true
	}
	return false
}

// harmless reports whether a word is a command that the gateway has no use for
// and others do, so that it is no password in the wrong place.
func harmless(word []byte) bool {
	return isOneOf(word, "AVBL", "CLNT", "COMB", "CSID", "DSIZ", "HASH", "MD5", "MFCT", "MFF", "MMD5", "RANG", "RMDA", "THMB",
		"XCRC", "XMD5", "XSHA", "XSHA1", "XSHA256", "XSHA512")
}

func isOneOf(word []byte, words ...string) bool {
	for _, w := range words {
		if len(w) == len(word) && bytes.EqualFold(word, []byte(w)) {
			return true
		}
	}
	return false
}

func bytesToUpper(b, word []byte) []byte {
	for _, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}

// appendBytes names what is not shown by its length.
func appendBytes(b []byte, what string, n int) []byte {
	b = append(append(append(b, '['), what...), ", "...)
	return append(strconv.AppendInt(b, int64(n), 10), " bytes]"...)
}

// plainLine is a client's line as Machine.Client reads it: without its line end
// and its Telnet commands.
func plainLine(line []byte) []byte {
	line = cutLine(line)
	if bytes.IndexByte(line, iac) >= 0 {
		line, _, _ = stripTelnet(bytes.Clone(line))
	}
	return line
}

// cutLine returns a line up to its line end.
func cutLine(line []byte) []byte {
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	return bytes.TrimSuffix(line, []byte("\r"))
}

// AppendText appends text of a peer as it may be shown anywhere: with \xNN for
// each byte of what a terminal would not print, and cut off after MaxText bytes.
func AppendText(b, text []byte) []byte {
	end := len(b) + MaxText
	for len(text) > 0 {
		n := 0
		for n < len(text) && ' ' <= text[n] && text[n] <= '~' {
			n++
		}
		if len(b)+n > end {
			return append(append(b, text[:end-len(b)]...), ellipsis...)
		}
		b, text = append(b, text[:n]...), text[n:]
		if len(text) == 0 {
			break
		}
		c, size := utf8.DecodeRune(text)
		shown := c != utf8.RuneError && unicode.IsPrint(c)
		if shown && len(b)+size > end || !shown && len(b)+4*size > end {
			return append(b, ellipsis...)
		}
		if shown {
			b = append(b, text[:size]...)
		} else {
			for _, c := range text[:size] {
				b = append(b, '\\', 'x', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		text = text[size:]
	}
	return b
}

const hexDigits = "0123456789abcdef"
