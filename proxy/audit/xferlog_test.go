package audit

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestXferlogLines(t *testing.T) {
	with := func(change func(*Transfer)) Transfer {
		e := download
		change(&e)
		return e
	}
	for _, tt := range []struct {
		name  string
		event Event
		want  string
	}{
		{"download", download, "Sat Nov 21 04:04:03 2026 2 192.0.2.7 1048576 /pub/a_b.bin b _ o r alice ftp 0 * c\n"},
		{"upload that failed, by reference", &failed, "Sat Nov 21 04:04:03 2026 1 192.0.2.7 0 x a _ i r alice ftp 0 * i\n"},
		{"anonymous, over IPv6, on a day of one digit", with(func(e *Transfer) {
			e.Time, e.Who, e.Took = at.AddDate(0, 0, -18), stranger, 61400*time.Millisecond
			e.User = "anonymous"
		}), "Tue Nov  3 04:04:03 2026 61 2001:db8::7 1048576 /pub/a_b.bin b _ o a anonymous ftp 0 * c\n"},
		{"ftp is anonymous", with(func(e *Transfer) { e.User = "ftp" }), "Sat Nov 21 04:04:03 2026 2 192.0.2.7 1048576 /pub/a_b.bin b _ o a ftp ftp 0 * c\n"},
		{"no name, no user", with(func(e *Transfer) { e.User, e.Path = "", "" }), "Sat Nov 21 04:04:03 2026 2 192.0.2.7 1048576 - b _ o r - ftp 0 * c\n"},
		{"listing", with(func(e *Transfer) { e.Direction = "listing" }), ""},
		{"no transfer", FileOp{at, conn, "DELE", "x", 250}, ""},
		{"our own notice", dropped{at, at, 1}, ""},
	} {
		got := string(appendXferlog(nil, tt.event, time.UTC))
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
	if got := string(appendXferlog(nil, download, time.FixedZone("", 2*3600))); !strings.HasPrefix(got, "Sat Nov 21 06:04:03 2026 ") {
		t.Errorf("not in local time: %s", got)
	}
}

func TestXferlogNames(t *testing.T) {
	for _, tt := range []struct{ name, want string }{
		{"/pub/été/日本.txt", "/pub/été/日本.txt"},
		{"a b\tc\r\nd\x00e\x7ff", "a_b_c__d_e_f"},
		{"Zo\xeb", "Zo_"},
		{"nbsp\u00a0wide\u3000", "nbsp_wide_"},
		{"\u202egpj.exe\u2028", "_gpj.exe_"},
		{`say "hi"`, "say__hi_"},
		{"report (1).pdf", "report_(1).pdf"},
		{"a(b", "a_b"},
		{")(", "__"},
		{"(a)[b](c", "_a_[b]_c"},
		{"[x](y)", "[x](y)"},
		{"%41?", "%41?"},
		{strings.Repeat("é", 1001), strings.Repeat("é", 1000)},
		{strings.Repeat("a", 1999) + "é", strings.Repeat("a", 1999)},
	} {
		if got := string(appendName(nil, tt.name, longestPath)); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func FuzzXferlogHasItsFields(f *testing.F) {
	f.Add("/pub/a b", "alice")
	f.Add("", "\n")
	f.Add("\xff\"[(", "x y\u2003z")
	f.Fuzz(func(t *testing.T, path, user string) {
		e := download
		e.Path, e.User = path, user
		line := string(appendXferlog(nil, e, time.UTC))
		if strings.Count(line, "\n") != 1 || len(line) > 4000 {
			t.Errorf("%d bytes: %q", len(line), line)
		}
		// What any reader takes for a space ends a field, and nothing else does.
		fields, spaced := strings.Fields(line), strings.Split(strings.TrimSuffix(line, "\n"), " ")
		if len(fields) != 18 || !cmp.Equal(fields, spaced) {
			t.Errorf("%d fields, want 18: %q", len(fields), line)
		}
	})
}
