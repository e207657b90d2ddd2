package audit

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestTextIsShownWhole(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"plain", "/pub/a b.txt", `"/pub/a b.txt"`},
		{"letters", "Zoë/日本語/😀", `"Zoë/日本語/😀"`},
		{"quote", `a"b`, `"a\"b"`},
		{"backslash", `a\b`, `"a\\\\b"`},
		{"what looks like an escape", `\x0a`, `"\\\\x0a"`},
		{"line ends", "a\r\nb", `"a\\x0d\\x0ab"`},
		{"NUL, tab, ESC, DEL", "\x00\t\x1b\x7f", `"\\x00\\x09\\x1b\\x7f"`},
		{"Latin-1", "Zo\xeb", `"Zo\\xeb"`},
		{"cut UTF-8", "\xe6\x97", `"\\xe6\\x97"`},
		{"surrogate", "\xed\xa0\x80", `"\\xed\\xa0\\x80"`},
		{"the replacement character itself", "\ufffd", "\"\ufffd\""},
		{"C1", "\u0085\u009b", `"\\xc2\\x85\\xc2\\x9b"`},
		{"line and paragraph separator", "\u2028\u2029", `"\\xe2\\x80\\xa8\\xe2\\x80\\xa9"`},
		{"bidi", "a\u202etxt.exe", `"a\\xe2\\x80\\xaetxt.exe"`},
		{"isolates", "\u2066\u2069\u061c", `"\\xe2\\x81\\xa6\\xe2\\x81\\xa9\\xd8\\x9c"`},
		{"zero width", "a\u200b\ufeffb", `"a\\xe2\\x80\\x8b\\xef\\xbb\\xbfb"`},
		{"markup", "<script>&", `"<script>&"`},
	} {
		if got := string(appendText(nil, tt.text)); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

// unescape is what a reader does to have the bytes of a text, once JSON is decoded.
func unescape(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		rest := s[i:]
		switch {
		case s[i] != '\\':
			b.WriteByte(s[i])
		case strings.HasPrefix(rest, `\\`):
			b.WriteByte('\\')
			i++
		case strings.HasPrefix(rest, `\x`) && len(rest) >= 4:
			c, err := strconv.ParseUint(rest[2:4], 16, 8)
			if err != nil {
				return "", err
			}
			b.WriteByte(byte(c))
			i += 3
		default:
			return "", errors.New("a backslash that begins nothing: " + rest)
		}
	}
	return b.String(), nil
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "/a b", `\x0a\\"`, "\r\n\x00\xff\u2028\u202e", "\xf0\x9f\x98", "\ufffd\\", `\u0041`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		written := appendText(nil, s)
		if !utf8.Valid(written) {
			t.Errorf("%q is not UTF-8", written)
		}
		for _, r := range string(written) {
			if !unicode.IsGraphic(r) {
				t.Errorf("%q: %U is not graphic", written, r)
			}
		}
		var text string
		if err := json.Unmarshal(written, &text); err != nil {
			t.Fatalf("%q: %v", written, err)
		}
		if got, err := unescape(text); err != nil || got != s {
			t.Errorf("%q comes back as %q, %v, want %q", written, got, err, s)
		}
	})
}
