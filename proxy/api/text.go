package api

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text is what a peer sent, so that it can be shown: control characters, what
// turns the direction of writing round, and bytes that are not UTF-8 are written
// as \xNN.
func Text(s string) string {
	plain := func(r rune) bool { return r != utf8.RuneError && unicode.IsPrint(r) || r == ' ' }
	if strings.IndexFunc(s, func(r rune) bool { return !plain(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if plain(r) {
			b.WriteString(s[:n])
		} else {
			for i := range n {
				fmt.Fprintf(&b, `\x%02x`, s[i])
			}
		}
		s = s[n:]
	}
	return b.String()
}
