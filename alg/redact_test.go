package alg

import (
	"net/netip"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// shown plays a dialogue of "C …" and "S …", each with its bytes as they come,
// and returns what may be shown of it.
func shown(t testing.TB, events ...string) []string {
	t.Helper()
	m := New(Config{Client: netip.MustParseAddr("198.51.100.7"), Server: netip.MustParseAddr("10.0.0.5"), Passive: true, Active: true})
	var r Redactor
	client, server := NewLines(MaxCommand), NewLines(MaxReply)
	var all []string
	for _, e := range events {
		of, data := &client, []byte(e[2:])
		if e[0] == 'S' {
			of = &server
		}
		for len(data) > 0 {
			n := copy(of.Space(), data)
			of.Filled(n)
			data = data[n:]
			for line := of.Next(); line != nil; line = of.Next() {
				var text []byte
				if e[0] == 'C' {
					v := m.Client(line)
					if text = r.Client(nil, line, v); len(text) == 0 {
						continue // a piece
					}
				} else {
					v := m.Server(line)
					text = r.Server(nil, line)
					r.Answered(v)
				}
				all = append(all, e[:2]+string(text))
			}
		}
	}
	return all
}

// after returns a dialogue whose beginning is the same as ever.
func after(events ...string) []string { return append([]string{"S 220 ready\r\n"}, events...) }

func TestRedactedCommands(t *testing.T) {
	for line, want := range map[string]string{
		"USER anna":                  "USER anna",
		"PASS s3cret":                "PASS ****",
		"pass s3cret with more":      "PASS ****",
		"PASS":                       "PASS",
		"PASS ":                      "PASS ****",
		"Acct s3cret":                "ACCT ****",
		"ADAT czNjcmV0":              "ADAT ****",
		"MIC czNjcmV0":               "MIC ****",
		"ENC czNjcmV0":               "ENC ****",
		"CONF czNjcmV0":              "CONF ****",
		"RETR /pub/big.iso":          "RETR /pub/big.iso",
		"retr a":                     "retr a",
		"PORT 198,51,100,7,8,1":      "PORT 198,51,100,7,8,1",
		"CWD \x1b[31m\u202eü\xfc":    `CWD \x1b[31m\xe2\x80\xaeü\xfc`,
		"SITE CHMOD 755 f":           "SITE CHMOD 755 f",
		"site utime 20260101 f":      "site utime 20260101 f",
		"SITE":                       "SITE",
		"SITE PSWD s3cret n3wer":     "SITE PSWD ****",
		"SITE WHO":                   "SITE WHO",
		"SITE s3cret":                "SITE ****",
		"SITE PASSWORD:s3cret x":     "SITE ****",
		"SITE  s3cret  ":             "SITE ****",
		"SITE correcthorsebattery x": "SITE ****",
		"XCRC /s3cret":               "XCRC ****",
		"xsha256 /s3cret":            "XSHA256 ****",
		"MFMT 20260101000000 f":      "MFMT 20260101000000 f",
		"s3cret":                     "[unknown command, 8 bytes]",
		"love":                       "[unknown command, 6 bytes]",
		"XYZZY s3cret":               "[unknown command, 14 bytes]",
		"PASSs3cret":                 "[unknown command, 12 bytes]",
		"PASSW s3cret":               "[unknown command, 14 bytes]",
		" PASS s3cret":               "[malformed line, 14 bytes]",
		"PASS\ts3cret":               "[malformed line, 13 bytes]",
		"\x00PASS s3cret":            "[malformed line, 14 bytes]",
		"PASS s3\rcret":              "[malformed line, 14 bytes]",
		"123456":                     "[malformed line, 8 bytes]",
		"":                           "[malformed line, 2 bytes]",
		"PA\xff\xf1SS s3cret":        "PASS ****", // a Telnet NOP
		"\xff\xf4\xff\xf2PASS s3c":   "PASS ****",
		"\xff\xfd\x01PASS s3c":       "PASS ****",
		"PASS s3\xff\xf1cret":        "PASS ****",
		"PASS s3\xff\xffcret":        "PASS ****",
		"\xf2PASS s3cret":            "[malformed line, 14 bytes]",
		"GET /?s3cret HTTP/1.1":      "[malformed line, 23 bytes]",
		strings.Repeat("CWD ab", 99): strings.Repeat("CWD ab", 99)[:200] + "…",
	} {
		if got := shown(t, after("C "+line+"\r\n")...); len(got) != 2 || got[1] != "C "+want {
			t.Errorf("%q is shown as %q, want %q", line, got[1:], want)
		}
	}
}

// What a client sends in more than one line, or in one that is too long, is
// refused whole, and so is it shown.
func TestRedactedPieces(t *testing.T) {
	const long = 3 * MaxCommand // about
	for name, tt := range map[string]struct {
		events, want []string
	}{
		"a bare LF within": {
			after("C NOOP\r\n", "C PASS s3c\nret\r\n"),
			[]string{"S 220 ready", "C NOOP", "C [malformed line, 14 bytes]"},
		},
		"lines that end in LF": {
			after("C PASS s3c\n", "C ret\n", "S 331 ret?\r\n", "S 500 RET? what\r\n", "S 200 s3cret\r\n"),
			[]string{"S 220 ready", "C PASS ****", "C [unknown command, 4 bytes]", "S 331 [text hidden]", "S 500 [text hidden]", "S 200 s3cret"},
		},
		"a line that is too long": {
			after("C PASS s3cret" + strings.Repeat(" s3cret", (long-12)/7) + "\r\n"),
			[]string{"S 220 ready", "C [malformed line, 12284 bytes]"},
		},
		"one whose CR is in another piece": {
			after("C PASS " + strings.Repeat("x", MaxCommand-6) + "\r\n"),
			[]string{"S 220 ready", "C [malformed line, 4097 bytes]"},
		},
		"the command behind it": {
			after("C NOOP\r\n", "C PASS s3c\nret\r\n", "C PWD\r\n"),
			[]string{"S 220 ready", "C NOOP", "C [malformed line, 14 bytes]", "C PWD"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, shown(t, tt.events...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A server that repeats what it got shows no password, and only as long as it
// could its text is left out.
func TestRedactedEchoes(t *testing.T) {
	long := "s3cret" + strings.Repeat("x", maxSecret)
	for name, tt := range map[string]struct {
		events, want []string
	}{
		"in a 530 and in a 230": {
			after("C PASS s3cret\r\n", "S 530-No, anna\r\n", "S  not s3cret\r\n", "S 530 S3CRET is wrong\r\n",
				"C PASS n3w one\r\n", "S 230 hello n3w one\r\n", "C NOOP\r\n", "S 200 s3cret\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 530-No, anna", "S [text hidden]", "S 530 [text hidden]",
				"C PASS ****", "S 230 [text hidden]", "C NOOP", "S 200 s3cret"},
		},
		"what a server says of a login": {
			after("C USER anna\r\n", "S 331 Password for anna\r\n", "C PASS s3cret\r\n", "S 500 OOPS: refusing to run with writable root\r\n"),
			[]string{"S 220 ready", "C USER anna", "S 331 Password for anna", "C PASS ****", "S 500 OOPS: refusing to run with writable root"},
		},
		"PASS without USER": {
			after("C PASS s3cret\r\n", "S 503 PASS s3cret: USER first\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 503 [text hidden]"},
		},
		"a part of it": {
			after("C PASS my s3cret phrase\r\n", "S 501 unexpected \"s3cret\"\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 501 [text hidden]"},
		},
		"a short one": {
			after("C PASS me\r\n", "S 530 welcoME\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 530 [text hidden]"},
		},
		"one that may be spelled in other ways": {
			after("C PASS pä$$\r\n", "S 530 p\xe4$$\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 530 [text hidden]"},
		},
		"one that is too long to look for": {
			after("C PASS "+long+"\r\n", "S 530 "+long[20:]+"\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 530 [text hidden]"},
		},
		"none": {
			after("C PASS  \r\n", "S 530 no\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S 530 [text hidden]"},
		},
		"two at once": {
			after("C PASS s3cret\r\n", "C ACCT n3w\r\n", "S 332 s3cret\r\n", "S 530 for s3cret, n3w\r\n", "C NOOP\r\n", "S 200 ok\r\n"),
			[]string{"S 220 ready", "C PASS ****", "C ACCT ****", "S 332 [text hidden]", "S 530 [text hidden]", "C NOOP", "S 200 ok"},
		},
		"before its answer": {
			after("C NOOP\r\n", "C PASS s3cret\r\n", "S 200 s3cret?\r\n", "S 230 ok\r\n"),
			[]string{"S 220 ready", "C NOOP", "C PASS ****", "S 200 [text hidden]", "S 230 ok"},
		},
		"a password in place of a command": {
			after("C hunter2\r\n", "S 500 HUNTER2 not understood\r\n", "C NOOP\r\n", "S 200 ok\r\n"),
			[]string{"S 220 ready", "C [unknown command, 9 bytes]", "S 500 [text hidden]", "C NOOP", "S 200 ok"},
		},
		"arguments of SITE": {
			after("C SITE PSWD old n3wer\r\n", "S 500 'SITE PSWD old n3wer': unknown\r\n"),
			[]string{"S 220 ready", "C SITE PSWD ****", "S 500 [text hidden]"},
		},
		"a line that is no reply": {
			after("C PASS s3cret\r\n", "S s3cret\r\n"),
			[]string{"S 220 ready", "C PASS ****", "S [text hidden]"},
		},
		"what the server does not hear of": {
			after("C  PASS s3cret\r\n", "C NOOP\r\n", "S 200 s3cret, by chance\r\n"),
			[]string{"S 220 ready", "C [malformed line, 14 bytes]", "C NOOP", "S 200 s3cret, by chance"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, shown(t, tt.events...)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The secret is not kept longer than it is of use.
func TestRedactorForgets(t *testing.T) {
	var r Redactor
	r.Client(nil, []byte("PASS s3cret\r\n"), Verdict{Verb: PASS, Number: 7})
	r.Answered(Verdict{Answers: 7, Code: 120})
	r.Answered(Verdict{Answers: 6, Code: 230})
	if string(r.secret) != "s3cret" {
		t.Errorf("before the answer %q is kept", r.secret)
	}
	r.Answered(Verdict{Answers: 7, Code: 230})
	if kept := r.secret[:cap(r.secret)]; len(r.secret) != 0 || strings.Trim(string(kept), "\x00") != "" {
		t.Errorf("behind the answer %q is kept", kept)
	}
}

func TestAppendText(t *testing.T) {
	full := strings.Repeat("x", MaxText)
	for text, want := range map[string]string{
		"":                  "",
		"plain ~":           "plain ~",
		"\x00\t\x1b\x7f":    `\x00\x09\x1b\x7f`,
		"grün 日本":           "grün 日本",
		"\xff\xc3":          `\xff\xc3`,
		"\u009b31m":         `\xc2\x9b31m`, // CSI, as one character
		"\u202egpj.exe":     `\xe2\x80\xaegpj.exe`,
		"\ufffd":            `\xef\xbf\xbd`,
		full:                full,
		full + "y":          full + "…",
		full[1:] + "ü":      full[1:] + "…",
		full[2:] + "ü":      full[2:] + "ü",
		full[3:] + "\x01":   full[3:] + "…",
		full[4:] + "\x01":   full[4:] + `\x01`,
		full[1:] + "y\x01z": full[1:] + "y…",
	} {
		if got := string(AppendText([]byte("before "), []byte(text))); got != "before "+want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// FuzzRedactor: whatever the client says, what is shown of it can be shown, and
// what it says as a password is not.
func FuzzRedactor(f *testing.F) {
	for _, seed := range []string{"s3cret", "pass word", "grün", strings.Repeat("x", 300)} {
		f.Add(seed, "NOOP", "230 hello ")
		f.Add(seed, "SITE PSWD a", "530-")
	}
	f.Fuzz(func(t *testing.T, secret, other, reply string) {
		if strings.ContainsAny(secret+other+reply, "\r\n\x00") || strings.IndexByte(secret, iac) >= 0 || len(secret) < partSecret || len(secret)+len(reply) > MaxCommand/2 {
			return // not one line each, or nothing to look for
		}
		all := shown(t, after("C PASS "+secret+"\r\n", "S "+reply+secret+"\r\n", "C "+other+"\r\n", "S "+reply+"\r\n")...)
		for _, line := range all {
			if !utf8.ValidString(line) || len(line) > len("S 123 ")+MaxText+len(ellipsis) || strings.ContainsFunc(line, func(c rune) bool { return c < ' ' || c == 0x7f }) {
				t.Errorf("shown as %q", line)
			}
		}
		if all[1] != "C PASS ****" {
			t.Errorf("the command is shown as %q", all[1])
		}
		if answer := all[2]; !strings.HasSuffix(answer, hiddenText) && strings.Contains(answer, secret) {
			t.Errorf("the password %q is in %q", secret, answer)
		}
	})
}
