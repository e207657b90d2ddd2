package admin

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

const manual = "../../docs/api.md"

// The manual has each field of each type, and none that is not there.
func TestManualHasEveryField(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for section := range strings.SplitSeq(string(text), "\n### ") {
		name, body, _ := strings.Cut(section, "\n")
		sections[name] = body
	}
	field := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")
	for _, v := range []any{
		api.Status{}, api.Service{}, api.Backend{}, api.Session{}, api.Running{}, api.Pinhole{}, api.Failure{}, api.Explanation{},
		api.Fate{}, api.Line{}, api.Sample{}, api.Traced{}, api.Ended{}, api.Drained{}, api.Closed{}, api.Problem{},
	} {
		kind := reflect.TypeOf(v)
		var want, got []string
		for f := range kind.Fields() {
			if f.Anonymous {
				if !strings.Contains(sections[kind.Name()], "ll of a ["+f.Name+"](#"+strings.ToLower(f.Name)+")") {
					t.Errorf("the section on %s does not say that it has all of a %s", kind.Name(), f.Name)
				}
				continue
			}
			want = append(want, f.Tag.Get("json"))
		}
		for _, m := range field.FindAllStringSubmatch(sections[kind.Name()], -1) {
			got = append(got, m[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("fields of %s (-there are +in the manual):\n%s", kind.Name(), diff)
		}
	}
}

func TestManualHasEveryEndpoint(t *testing.T) {
	text, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `((?:GET|POST) [^`]+)` \\| (both|socket) \\|.*$")
	got, row := map[string]string{}, map[string]string{}
	for _, m := range rows.FindAllStringSubmatch(string(text), -1) {
		got[m[1]], row[m[1]] = m[2], m[0]
	}
	want := map[string]string{}
	add := func(where string, endpoints []endpoint) {
		for _, e := range endpoints {
			name := e.method + " " + prefix + e.path
			want[name] = where
			for _, parameter := range e.query {
				if !strings.Contains(row[name], "`"+parameter+"`") {
					t.Errorf("%s: the manual does not name the parameter %s", name, parameter)
				}
			}
		}
	}
	add("both", looks(nil))
	add("socket", acts(nil))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("endpoints (-there are +in the manual):\n%s", diff)
	}
}
