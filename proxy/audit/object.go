package audit

import (
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// object is JSON in the making: lines behind each other, the last one open. What
// is empty leaves no field: text, an address, the number of a reply.
type object []byte

func (o *object) begin(at time.Time, event string) {
	*o = append(*o, '{')
	o.moment("time", at)
	o.text("event", event)
}

func (o *object) end() { *o = append(*o, "}\n"...) }

// key begins a field. Names are ours and need no escapes.
func (o *object) key(name string) {
	b := *o
	if b[len(b)-1] != '{' {
		b = append(b, ',')
	}
	b = append(b, '"')
	b = append(b, name...)
	*o = append(b, '"', ':')
}

func (o *object) text(name, s string) {
	if s != "" {
		o.key(name)
		*o = appendText(*o, s)
	}
}

func (o *object) count(name string, n uint64) {
	o.key(name)
	*o = strconv.AppendUint(*o, n, 10)
}

func (o *object) code(name string, reply int) {
	if reply != 0 {
		o.key(name)
		*o = strconv.AppendInt(*o, int64(reply), 10)
	}
}

func (o *object) codes(name string, replies []int) {
	if len(replies) == 0 {
		return
	}
	o.key(name)
	b := append(*o, '[')
	for i, r := range replies {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(r), 10)
	}
	*o = append(b, ']')
}

func (o *object) flag(name string, v bool) {
	o.key(name)
	*o = strconv.AppendBool(*o, v)
}

// outcome says whether something was done.
func (o *object) outcome(done bool) {
	if done {
		o.text("outcome", "done")
	} else {
		o.text("outcome", "failed")
	}
}

// millis writes a duration in milliseconds, to the microsecond.
func (o *object) millis(name string, d time.Duration) {
	o.key(name)
	us := max(d, 0).Microseconds()
	b := strconv.AppendInt(*o, us/1000, 10)
	if rest := us % 1000; rest != 0 {
		b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
		for b[len(b)-1] == '0' {
			b = b[:len(b)-1]
		}
	}
	*o = b
}

// moment writes a time as RFC 3339 has it, in UTC, with milliseconds always.
func (o *object) moment(name string, t time.Time) {
	o.key(name)
	b := append(*o, '"')
	b = t.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z07:00")
	*o = append(b, '"')
}

func (o *object) addr(name string, a netip.AddrPort) {
	if a.IsValid() {
		o.key(name)
		b := append(*o, '"')
		b = netip.AddrPortFrom(a.Addr().Unmap(), a.Port()).AppendTo(b)
		*o = append(b, '"')
	}
}

func (o *object) flow(name string, f Flow) {
	if f == (Flow{}) {
		return
	}
	o.key(name)
	*o = append(*o, '{')
	o.addr("src", f.Src)
	o.addr("dst", f.Dst)
	*o = append(*o, '}')
}

const hex = "0123456789abcdef"

// appendText appends a JSON string that shows every byte of s. What is not UTF-8,
// or cannot be seen (control characters, line separators, bidi controls and all
// else that is not graphic) is spelled \xNN, byte by byte, and a backslash is
// doubled: both in the text of the string, so that in the JSON they begin with
// two backslashes.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"':
			b = append(b, `\"`...)
		case c == '\\':
			b = append(b, `\\\\`...)
		case ' ' <= c && c <= '~':
			b = append(b, c)
		default:
			n := hidden(s[i:])
			if n == 0 {
				_, n = utf8.DecodeRuneInString(s[i:])
				b = append(b, s[i:i+n]...)
			} else {
				for _, c := range []byte(s[i : i+n]) {
					b = append(b, '\\', '\\', 'x', hex[c>>4], hex[c&15])
				}
			}
			i += n
			continue
		}
		i++
	}
	return append(b, '"')
}

// hidden returns the length of the first character of s if it is one that cannot
// be seen, or 0.
func hidden(s string) int {
	r, n := utf8.DecodeRuneInString(s)
	if r == utf8.RuneError && n == 1 || !unicode.IsGraphic(r) {
		return n
	}
	return 0
}
