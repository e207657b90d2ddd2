package api

import "testing"

func TestText(t *testing.T) {
	for sent, want := range map[string]string{
		"plain – ünïcode": "plain – ünïcode",
		"\x1b[2Jbell\a":   `\x1b[2Jbell\x07`,
		"bad \xff\xfe":    `bad \xff\xfe`,
		"\u202egnp.exe":   `\xe2\x80\xaegnp.exe`,
		"two\r\nlines":    `two\x0d\x0alines`,
		"\ufffd":          `\xef\xbf\xbd`,
		"":                "",
	} {
		if got := Text(sent); got != want {
			t.Errorf("%q is shown as %q, want %q", sent, got, want)
		}
	}
}
