package show

import (
	"strings"
	"testing"
	"time"
	"unicode"

	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

func TestSize(t *testing.T) {
	for bytes, want := range map[uint64]string{
		0: "0 B", 1023: "1023 B", 1024: "1.0 KiB", 1536: "1.5 KiB", 1<<20 - 1: "1.0 MiB", 1 << 20: "1.0 MiB", 5 << 30: "5.0 GiB", 1<<64 - 1: "16.0 EiB",
	} {
		if got := Size(bytes); got != want {
			t.Errorf("Size(%d) = %q, want %q", bytes, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0ms", 350 * time.Millisecond: "350ms", 59900 * time.Millisecond: "59s", time.Minute: "1m00s", 61 * time.Second: "1m01s",
		time.Hour: "1h00m", 25 * time.Hour: "1d01h", 400 * 24 * time.Hour: "400d00h",
	} {
		if got := Span(d); got != want {
			t.Errorf("Span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestAgo(t *testing.T) {
	s := Screen{Now: noon}
	for d, want := range map[time.Duration]string{
		10 * time.Second: "10s ago", 3 * time.Minute: "3m ago", 10 * time.Minute: "10m ago", 190 * time.Second: "3m10s ago", time.Hour: "1h ago", 24 * time.Hour: "1d ago",
	} {
		if got := s.ago(noon.Add(-d)); got != want {
			t.Errorf("%v before now is %q, want %q", d, got, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"déjà vu/日本.txt":      "déjà vu/日本.txt",
		"\x1b[2J\a":           `\x1b[2J\x07`,
		"a\r\nb\tc":           `a\x0d\x0ab\x09c`,
		"\x7f\u009b1m":        `\x7f\u009b1m`,
		"\u202egpj.exe":       `\u202egpj.exe`,
		"a\u200bb\u2028c":     `a\u200bb\u2028c`,
		"\xff\xfeab\xc3":      `\xff\xfeab\xc3`,
		"the real \uFFFD one": "the real \uFFFD one",
		"\U000e0001":          `\U000e0001`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("Printable(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	tests := []struct {
		text  string
		width int
		want  string
	}{
		{"short", 0, "short"}, {"short", 5, "short"}, {"short", 4, "sho…"}, {"short", 1, "…"},
		{"日本語", 6, "日本語"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"e\u0301te\u0301", 3, "e\u0301te\u0301"},
	}
	for _, tt := range tests {
		if got := cut(tt.text, tt.width); got != tt.want {
			t.Errorf("cut(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestProse(t *testing.T) {
	for width, want := range map[int]string{
		0:  "  one two three-and-four five\n",
		12: "  one two\n  three-and-four\n  five\n",
	} {
		var b strings.Builder
		p := Screen{Out: &b}.page()
		p.prose(width, "  ", "one two three-and-four five")
		if err := p.flush(); err != nil {
			t.Fatal(err)
		}
		if b.String() != want {
			t.Errorf("width %d: %q, want %q", width, b.String(), want)
		}
	}
}

func TestEmptyAnswersSaySo(t *testing.T) {
	tests := []struct {
		name string
		show func(Screen) error
		want string
	}{
		{"sessions", func(s Screen) error { return Sessions(s, nil) }, "no sessions\n"},
		{"pinholes", func(s Screen) error { return Pinholes(s, nil) }, "no pinholes: nothing is open\n"},
		{"failures", func(s Screen) error { return Failures(s, nil) }, "no failed transfers are known\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b strings.Builder
			if err := tt.show(Screen{Out: &b, Now: noon}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestStatusThatIsNotWell(t *testing.T) {
	status := api.Status{
		Version: "v1", Now: noon, Started: noon.Add(-90 * time.Second), ConfigLoaded: noon.Add(-90 * time.Second), Config: "/c.toml", Table: "gate",
		NotReady: []string{"service files: no backend can be reached"}, Relays: 1,
		Services: []api.Service{{Name: "out", Mode: "forward", TLS: "pass", Listen: []string{"0.0.0.0:2121"}}},
	}
	const rest = `configuration  /c.toml, loaded 1m30s ago
nftables       inet gate, not owned: a flush by others removes it until it is put back
sessions       0 of 0
transfers      0 running, 1 data connection carried by the process itself
pinholes       0 open and unused
failures       none known

SERVICE  MODE     TLS   SESSIONS  RUNNING  PINHOLES  DONE  FAILED  TO CLIENTS  TO SERVERS  LISTEN        BACKENDS
out      forward  pass         -        -         -     -       -         0 B         0 B  0.0.0.0:2121  any
`
	for _, tt := range []struct {
		draining bool
		want     string
	}{
		{false, "ftpgate v1, up 1m30s: not ready\n  service files: no backend can be reached\n" + rest},
		{true, "ftpgate v1, up 1m30s: draining: new sessions are refused (ftpgate undrain lets them in)\n  service files: no backend can be reached\n" + rest},
	} {
		status.Draining = tt.draining
		var b strings.Builder
		if err := Status(Screen{Out: &b, Now: noon}, status); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, b.String()); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

// A screen that is too low says how much it does not show, and leaves no line
// end below that would push the first line out.
func TestHeight(t *testing.T) {
	var list []api.Session
	for id := range uint64(10) {
		list = append(list, api.Session{ID: id + 1, Began: noon})
	}
	var b strings.Builder
	if err := Sessions(Screen{Out: &b, Head: "HEAD", Height: 4, Now: noon}, list); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 4 || lines[3] != "… 8 more" || !strings.HasPrefix(lines[0], "HEAD") {
		t.Errorf("got %q", b.String())
	}
}

// Whatever is put into any text, no terminal obeys it and no line is made of it.
func TestNothingGetsToTheTerminal(t *testing.T) {
	const evil = "x\x1b]0;owned\a\x1b[2J\r\n9.9: all is well\u009b31m\u202e\xff"
	running := api.Running{ID: evil, Verb: evil, Path: evil, Direction: evil, Mode: evil, Connected: true, Began: noon}
	failure := api.Failure{
		ID: evil, Time: noon, Service: evil, Client: evil, User: evil, Backend: evil, Verb: evil, Path: evil, Direction: evil,
		Mode: evil, Reply: evil, Cause: evil, Sentence: evil, Advice: evil,
	}
	pinhole := api.Pinhole{Service: evil, Mode: evil, From: evil, At: evil, To: evil, Opened: noon}
	line := api.Line{Time: noon, From: evil, Text: evil, Sent: evil + "2"}
	tests := map[string]func(Screen) error{
		"status": func(s Screen) error {
			return Status(s, api.Status{Version: evil, Config: evil, Table: evil, NotReady: []string{evil}, Now: noon, Services: []api.Service{
				{Name: evil, Mode: evil, TLS: evil, Listen: []string{evil}, Backends: []api.Backend{{Address: evil}}},
			}})
		},
		"sessions": func(s Screen) error {
			return Sessions(s, []api.Session{
				{Service: evil, Client: evil, User: evil, Protection: evil, Doing: evil, Began: noon},
				{Service: evil, Client: evil, User: evil, Protection: evil, Transfers: []api.Running{running}, Began: noon},
			})
		},
		"pinholes": func(s Screen) error { return Pinholes(s, []api.Pinhole{pinhole}) },
		"failures": func(s Screen) error { return Failures(s, []api.Failure{failure}) },
		"explain": func(s Screen) error {
			return Explain(s, api.Explanation{
				Failure: failure, Evidence: []string{evil}, Pinholes: []api.Fate{{Pinhole: pinhole, Fate: evil}}, Lines: []api.Line{line},
			})
		},
		"trace": func(s Screen) error {
			for _, event := range []string{"begin", "line", "end"} {
				if err := Traced(s, api.Traced{Service: evil, Client: evil, Event: event, Line: line}); err != nil {
					return err
				}
			}
			return nil
		},
	}
	for name, write := range tests {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := write(Screen{Out: &b, Now: noon}); err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(b.String(), `\x1b]0;owned\x07`) {
				t.Errorf("what was sent is not shown: %q", b.String())
			}
			for l := range strings.Lines(b.String()) {
				if strings.HasPrefix(strings.TrimSpace(l), "9.9") {
					t.Errorf("a line was made up: %q", l)
				}
				if i := strings.IndexFunc(strings.TrimSuffix(l, "\n"), func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
					t.Errorf("not printable at %d: %q", i, l)
				}
			}
		})
	}
}
