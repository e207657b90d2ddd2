package config

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFindLines(t *testing.T) {
	tests := []struct {
		name, text string
		want       map[string]int
	}{
		{
			"tables and comments", "# [no]\n\n[a] # x = 1\nb = 1 # c = 2\n[a.d]\ne=2\n",
			map[string]int{"a": 3, "a.b": 4, "a.d": 5, "a.d.e": 6},
		},
		{
			"arrays of tables and their sub-tables", "[[s]]\nx = 1\n[s.t]\ny = 2\n[[s]]\n[s.t]\ny = 3\n[[s.u]]\nz = 1\n[[s.u]]\nz = 2\n",
			map[string]int{
				"s": 1, "s[0]": 1, "s[0].x": 2, "s[0].t": 3, "s[0].t.y": 4, "s[1]": 5, "s[1].t": 6, "s[1].t.y": 7,
				"s[1].u": 8, "s[1].u[0]": 8, "s[1].u[0].z": 9, "s[1].u[1]": 10, "s[1].u[1].z": 11,
			},
		},
		{
			"dotted keys", "[a]\nb.c.d = 1\nb . e = 2\n",
			map[string]int{"a": 1, "a.b": 2, "a.b.c": 2, "a.b.c.d": 2, "a.b.e": 3},
		},
		{
			"inline tables", "a = { b = 1, c.d = \"}\", e = {f = 2} }\ng = {}\n",
			map[string]int{"a": 1, "a.b": 1, "a.c": 1, "a.c.d": 1, "a.e": 1, "a.e.f": 1, "g": 2},
		},
		{
			"lists over lines", "a = [\n  1, # one, ]\n\n  2,\n]\nb = [ [1,\n2], [] ]\nc = [\n{ d = 1 },\n{ d = 2 } ]\n",
			map[string]int{
				"a": 1, "a[0]": 2, "a[1]": 4, "b": 6, "b[0]": 6, "b[0][0]": 6, "b[0][1]": 7, "b[1]": 7,
				"c": 8, "c[0]": 9, "c[0].d": 9, "c[1]": 10, "c[1].d": 10,
			},
		},
		{
			"strings that look like keys", "a = \"x # \\\" = [\"\nb = '\\'\nc = \"\"\"\n[no]\nd = 1 \\\"\"\"\"\"\"\ne = '''\nf = 1'''''\ng = 1\nh = \"\"\ni = 1\n",
			map[string]int{"a": 1, "b": 2, "c": 3, "e": 6, "g": 8, "h": 9, "i": 10},
		},
		{
			"quoted keys", "\"a.b\" = 1\n'c' = 2\n\"\\u0064\" = 3\n\"\" = 4\n[\"x]\".y]\nz = 5\n",
			map[string]int{`"a.b"`: 1, "c": 2, "d": 3, `""`: 4, `"x]"`: 5, `"x]".y`: 5, `"x]".y.z`: 6},
		},
		{
			"dates, carriage returns and a byte order mark", "\ufeffa = 1979-05-27 07:32:00\r\nb = 1\r\n",
			map[string]int{"a": 1, "b": 2},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, findLines(tt.text)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
