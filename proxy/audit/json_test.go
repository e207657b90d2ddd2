package audit

import (
	"encoding/json"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	at   = time.Date(2026, 11, 21, 5, 4, 3, 20_999_999, time.FixedZone("", 3600))
	conn = Who{
		Session: 42, Service: "files", Client: netip.MustParseAddrPort("192.0.2.7:40001"), Gateway: netip.MustParseAddrPort("198.51.100.1:21"),
		Inside: netip.MustParseAddrPort("10.0.0.1:50001"), Backend: netip.MustParseAddrPort("10.0.0.5:21"), User: "alice",
	}
	stranger = Who{Service: "files", Client: netip.MustParseAddrPort("[2001:db8::7]:40001"), Gateway: netip.MustParseAddrPort("[::ffff:198.51.100.1]:21")}
	download = Transfer{
		Time: at, Who: conn, Number: 3, Verb: "RETR", Path: "/pub/a b.bin", Mode: "EPSV", Direction: "download", Private: true, Relayed: true,
		ClientSide: Flow{netip.MustParseAddrPort("192.0.2.7:40002"), netip.MustParseAddrPort("198.51.100.1:61000")},
		ServerSide: Flow{netip.MustParseAddrPort("10.0.0.1:50002"), netip.MustParseAddrPort("10.0.0.5:30000")},
		Bytes:      1048576, Source: Exact, Started: at.Add(-1500 * time.Millisecond), Connect: 1250 * time.Microsecond,
		Took: 1500 * time.Millisecond, Replies: []int{150, 226}, Done: true,
	}
	failed = Transfer{
		Time: at, Who: conn, Number: 4, Verb: "STOR", Path: "x", Mode: "PORT", Direction: "upload", ASCII: true, Started: at, Connect: -1,
		Took: 20 * time.Microsecond, Replies: []int{425}, Cause: "client_refused", Detail: `192.0.2.7 answered "no"`,
	}
)

const (
	inSession  = `"session":42,"service":"files","client":"192.0.2.7:40001","gateway":"198.51.100.1:21","inside":"10.0.0.1:50001","backend":"10.0.0.5:21","user":"alice"`
	atStranger = `"service":"files","client":"[2001:db8::7]:40001","gateway":"198.51.100.1:21"`
)

// lineTests are in the order of docs/audit.md, which shows each of the lines
// that have a name.
var lineTests = []struct {
	name  string
	event Event
	want  string
}{
	{"session_start", SessionStart{at, conn}, inSession},
	{"login", Login{at, conn, "alice", true, 230}, inSession + `,"tried":"alice","ok":true,"reply":230`},
	{"login", Login{at, stranger, "root", false, 0}, atStranger + `,"tried":"root","ok":false`},
	{"transfer", download, inSession + `,"id":"42.3","verb":"RETR","path":"/pub/a b.bin","mode":"EPSV","direction":"download","ascii":false,"tls":true,"relayed":true,` +
		`"client_data":{"src":"192.0.2.7:40002","dst":"198.51.100.1:61000"},"server_data":{"src":"10.0.0.1:50002","dst":"10.0.0.5:30000"},` +
		`"bytes":1048576,"bytes_source":"exact","started":"2026-11-21T04:04:01.520Z","connect_ms":1.25,"duration_ms":1500,"replies":[150,226],"outcome":"done"`},
	{"transfer", failed, inSession + `,"id":"42.4","verb":"STOR","path":"x","mode":"PORT","direction":"upload","ascii":true,"tls":false,"relayed":false,` +
		`"bytes_source":"unknown","started":"2026-11-21T04:04:03.020Z","duration_ms":0.02,"replies":[425],"outcome":"failed",` +
		`"cause":"client_refused","detail":"192.0.2.7 answered \"no\""`},
	{"transfer", &Transfer{Time: at, Number: 1, Source: Conntrack, Started: at, Connect: 0}, `"id":"0.1","ascii":false,"tls":false,"relayed":false,` +
		`"bytes":0,"bytes_source":"conntrack","started":"2026-11-21T04:04:03.020Z","duration_ms":0,"outcome":"failed"`},
	{"file_op", FileOp{at, conn, "RNTO", `C:\new`, 250}, inSession + `,"verb":"RNTO","path":"C:\\\\new","reply":250`},
	{"refused", Refused{at, stranger, "", "limit"}, atStranger + `,"reason":"limit"`},
	{"refused", Refused{at, conn, "SITE", "denied"}, inSession + `,"verb":"SITE","reason":"denied"`},
	{"admin", Admin{at, 0, "kill", "session 42", ""}, `"uid":0,"action":"kill","detail":"session 42","outcome":"done"`},
	{"admin", Admin{at, -1, "reload", "", "no such file"}, `"action":"reload","outcome":"failed","error":"no such file"`},
	{"session_end", SessionEnd{at, conn, "quit", time.Hour + 1999*time.Microsecond, 7, 2, 10, 0}, inSession + `,"result":"quit","duration_ms":3600001.999,` +
		`"transfers":7,"failures":2,"bytes_to_client":10,"bytes_to_server":0`},
	{"dropped", dropped{at, at.Add(-time.Second), 12}, `"since":"2026-11-21T04:04:02.020Z","events":12`},
	{"torn", torn{at}, ``},
}

// line is what a test wants, whole.
func line(event, fields string) string {
	if fields != "" {
		fields = "," + fields
	}
	return `{"time":"2026-11-21T04:04:03.020Z","event":"` + event + `"` + fields + "}\n"
}

func TestLines(t *testing.T) {
	for _, tt := range lineTests {
		got := string(appendJSON(nil, tt.event))
		if diff := cmp.Diff(line(tt.name, tt.want), got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.event, diff)
		}
		if !json.Valid([]byte(got)) || strings.Count(got, "\n") != 1 {
			t.Errorf("not JSON in one line: %q", got)
		}
	}
}

// TestManualShowsTheLines keeps the examples of the manual true, and complete.
func TestManualShowsTheLines(t *testing.T) {
	manual, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for text := range strings.Lines(string(manual)) {
		var fields map[string]any
		if strings.HasPrefix(text, `{"time"`) && json.Unmarshal([]byte(text), &fields) == nil {
			shown[text] = true
		}
	}
	named := map[string]bool{}
	for _, tt := range lineTests {
		if text := line(tt.name, tt.want); shown[text] {
			named[tt.name] = true
			delete(shown, text)
		}
	}
	for _, tt := range lineTests {
		if !named[tt.name] {
			t.Errorf("no line of docs/audit.md is one of the tests' for %s", tt.name)
		}
		var fields map[string]any
		if err := json.Unmarshal([]byte(line(tt.name, tt.want)), &fields); err != nil {
			t.Fatal(err)
		}
		for name := range fields {
			if !strings.Contains(string(manual), "`"+name+"`") {
				t.Errorf("docs/audit.md does not explain %s", name)
			}
		}
	}
	for text := range shown {
		t.Errorf("docs/audit.md shows a line that no test makes: %s", text)
	}
}

// TestNoPlaceForPasswords holds every field in which an event could carry what
// somebody sent. A new one has to be thought about here.
func TestNoPlaceForPasswords(t *testing.T) {
	want := []string{
		"Admin.Action", "Admin.Detail", "Admin.Error", "FileOp.Path", "FileOp.Verb", "Login.Tried", "Refused.Reason", "Refused.Verb",
		"SessionEnd.Result", "Transfer.Cause", "Transfer.Detail", "Transfer.Direction", "Transfer.Mode", "Transfer.Path", "Transfer.Source",
		"Transfer.Verb", "Who.Service", "Who.User",
	}
	var got []string
	for _, e := range []Event{SessionStart{}, Login{}, Transfer{}, FileOp{}, Refused{}, Admin{}, SessionEnd{}, dropped{}, torn{}} {
		got = append(got, texts(reflect.TypeOf(e))...)
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, slices.Compact(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// texts names the fields of a struct that can hold text or bytes of any kind.
func texts(s reflect.Type) []string {
	var names []string
	for i := range s.NumField() {
		f := s.Field(i)
		switch kind := f.Type.Kind(); {
		case f.Type == reflect.TypeFor[time.Time](), f.Type == reflect.TypeFor[netip.AddrPort](), f.Type == reflect.TypeFor[[]int]():
		case kind == reflect.Struct:
			names = append(names, texts(f.Type)...)
		case kind == reflect.Bool, kind >= reflect.Int && kind <= reflect.Float64:
		default:
			names = append(names, s.Name()+"."+f.Name)
		}
	}
	return names
}

// BenchmarkTransfer is what the writer does for a transfer, but for the disk.
func BenchmarkTransfer(b *testing.B) {
	for name, encode := range map[string]func([]byte, Event) []byte{
		"json":    appendJSON,
		"xferlog": func(b []byte, e Event) []byte { return appendXferlog(b, e, time.Local) },
	} {
		b.Run(name, func(b *testing.B) {
			var e Event = download
			var buf []byte
			b.ReportAllocs()
			for b.Loop() {
				buf = encode(buf[:0], e)
			}
		})
	}
}
