package config

import (
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
)

// FuzzParse: whatever the file, there is an answer, and each problem can be
// found and shown on one line of a terminal.
func FuzzParse(f *testing.F) {
	f.Add([]byte(smallest))
	f.Add([]byte(smallest + "ports = \"6100-64x\"\n[service.tls]\nx = [{a.b = '''\n'''}, 1979-05-27]\n"))
	f.Add([]byte(withTLS("tls = { mode = \"pass\", pass_ports = \"10000-10999:50000\", pass_flows = 65, key = \"k\" }\ndata = \"kernel\"", `"[::1]:21", "127.0.0.1:21"`)))
	f.Add([]byte(withTLS("tls.certificate = \"/c.pem\"\nbackend_tls = { mode = \"implicit\", ca = \"/ca\", server_name = \"a.b\", insecure_skip_verify = true }", "")))
	f.Add([]byte("nft.accept_in = [\"ip filter FORWARD\", \"\"]\n" + smallestForward + "destinations = { allow = [\"private\", \"self\"], deny = [\"10.0.0.0/8\"] }\nintercept.ports = [21, 0]\nsource = \"client\"\n"))
	f.Add([]byte(smallest + "data_peer = \"/24,/64\"\nadvertise = \"a.b\"\nadvertise_to = [{ clients = \"10.0.0.0/8\", address = \"10.0.0.1\" }, { \"x\\n\" = 1 }]\n"))
	f.Add([]byte("service = [1, {}, {listen = [[]], \"\\u0061.b\" = {}}]\nlog.\"x\".y = 1\n"))
	f.Add([]byte("[[service]]\n[[service.tls]]\n[[a.b]]\n[a.b.c]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, problems := Parse(data)
		if (file == nil) != (len(problems) > 0) {
			t.Errorf("a file and problems, or neither: %v", problems)
		}
		lines := strings.Count(string(data), "\n") + 1
		for _, p := range problems {
			if p.Key == "" && p.Line == 0 || p.Line < 0 || p.Line > lines || p.Text == "" {
				t.Errorf("a problem that cannot be found: %+v", p)
			}
			if strings.ContainsAny(p.In("f"), "\n\x00\x1b") {
				t.Errorf("a problem of more than one line: %q", p.In("f"))
			}
		}
		if !slices.IsSortedFunc(problems, func(a, b Problem) int { return a.Line - b.Line }) {
			t.Errorf("not sorted by line: %v", problems)
		}
	})
}

// FuzzFindLines holds the scanner against the library: all that one decodes,
// the other has a line for.
func FuzzFindLines(f *testing.F) {
	f.Add(smallest)
	f.Add("a = [[1,\n2], {b.c = '''\n'''}]\n[[s]]\n[s.\"t.u\"]\nd = 1979-05-27 07:32:00Z # x = \"\n[[s.v]]\ne = \"\"\"\\\"\"\"\"\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		lines := findLines(text) // of anything: it must end
		var tree map[string]any
		if toml.Unmarshal([]byte(text), &tree) != nil {
			return
		}
		var walk func(path string, v any)
		walk = func(path string, v any) {
			if path != "" && lines[path] == 0 {
				t.Errorf("no line for %s; got %v", path, lines)
			}
			switch v := v.(type) {
			case map[string]any:
				for name, v := range v {
					walk(join(path, name), v)
				}
			case []map[string]any:
				for i, v := range v {
					walk(element(path, i), v)
				}
			case []any:
				for i, v := range v {
					walk(element(path, i), v)
				}
			}
		}
		walk("", tree)
	})
}
