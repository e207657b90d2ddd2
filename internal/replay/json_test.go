package replay

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJSON: one object a line, with the names that docs/replay.md has.
func TestJSON(t *testing.T) {
	script := "S: 220 ready\nC: USER demo\nS: 230 In.\nC: PASV\nS: 227 Entering (10,0,0,5,195,80)\nC: RETR <a&b>\nS: 150 Go.\nS: 226 Done.\nC: PORT 192,0,2,1,9,9\nnonsense\n"
	var out bytes.Buffer
	p := NewPrinter(&out, true)
	if _, err := Run(strings.NewReader(script), plain(), p.Print); err != nil || p.Flush() != nil {
		t.Fatal("it cannot be replayed", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	for i, want := range map[int]string{
		0: `{"session":{"number":1,"client":"198.51.100.7","gateway":"198.51.100.1","inside":"10.0.0.1","server":"10.0.0.5","service":"files","recorded":"text"}}`,
		2: `{"line":{"session":1,"at":2,"from":"client","text":"USER demo","did":["passed on"],"fate":"passed"}}`,
		5: `{"line":{"session":1,"at":5,"from":"server","text":"227 Entering (10,0,0,5,195,80)","did":["opens pinhole 1: 198.51.100.7 -> 198.51.100.1:61000 -> 10.0.0.5:50000, passive","rewritten to: 227 Entering (198,51,100,1,238,72)"],` +
			`"fate":"rewritten","to_client":["227 Entering (198,51,100,1,238,72)"],"opens":{"id":1,"mode":"PASV","from":"198.51.100.7","at":"198.51.100.1:61000","to":"10.0.0.5:50000","relayed":false}}}`,
		6: `{"line":{"session":1,"at":6,"from":"client","text":"RETR <a&b>","did":["passed on"],"fate":"passed","transfer":"began"}}`,
		8: `{"line":{"session":1,"at":8,"from":"server","text":"226 Done.","did":["closes pinhole 1: its transfer is done","the download is done, through pinhole 1","passed on"],` +
			`"fate":"passed","closes":[{"id":1,"why":"done"}],"transfer":"done"}}`,
		10: `{"note":{"session":1,"at":10,"text":"neither a client's nor a server's line: write C: or S: before it, or # before a comment","unread":true}}`,
		11: `{"summary":{"sessions":1,"client_lines":4,"server_lines":5,"transfers_done":1,"transfers_failed":0,"transfers_unfinished":0,"pinholes":1,"refusals":{"bounce":1},"ended":0,"left_out":0,"not_seen":0,"missing_bytes":0,"unread_lines":1}}`,
	} {
		if i >= len(lines) {
			t.Fatalf("there are %d lines:\n%s", len(lines), out.String())
		}
		if diff := cmp.Diff(want, lines[i]); diff != "" {
			t.Errorf("line %d (-want +got):\n%s", i, diff)
		}
	}
	var e Event
	if err := json.Unmarshal([]byte(lines[9]), &e); err != nil || e.Line == nil || e.Line.Refusal != "bounce" || e.Line.Fate != answered {
		t.Errorf("a refused line: %v, %s", err, lines[9])
	}
}

// TestFindings: what an admin should look at.
func TestFindings(t *testing.T) {
	for _, test := range []struct {
		name, script string
		want         bool
	}{
		{"all well", "S: 220 ready\nC: USER demo\nS: 530 No.\n", false},
		{"a refusal", "C: PORT 192,0,2,1,9,9\n", true},
		{"an end", "S: HTTP/1.1 400 Bad Request\n", true},
		{"a line that cannot be read", "S: 220 ready\nwhat\n", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, sum := printed(t, []byte(test.script), plain()); sum.Findings() != test.want {
				t.Errorf("%+v", sum)
			}
		})
	}
}

// TestDocumented: docs/replay.md has every name that the JSON has.
func TestDocumented(t *testing.T) {
	manual, err := os.ReadFile("../../docs/replay.md")
	if err != nil {
		t.Fatal(err)
	}
	var look func(reflect.Type)
	look = func(typ reflect.Type) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || typ.PkgPath() != reflect.TypeFor[Event]().PkgPath() {
			return
		}
		for i := range typ.NumField() {
			name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if name != "" && !strings.Contains(string(manual), "`"+name+"`") {
				t.Errorf("%s.%s is not in the manual", typ.Name(), name)
			}
			look(typ.Field(i).Type)
		}
	}
	look(reflect.TypeFor[Event]())
}
