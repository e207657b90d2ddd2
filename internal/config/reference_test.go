package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"ftpgate/proxy"
)

// referenceFile is the file that operators install.
func referenceFile(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../../deploy/ftpgate.toml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// defaultLine is a default in the reference file: a comment without a space.
var defaultLine = regexp.MustCompile(`(?m)^#([a-z_.]+ = )`)

func TestReferenceFileIsGood(t *testing.T) {
	got := mustParse(t, referenceFile(t))
	if diff := cmp.Diff(mustParse(t, smallest), got, netipValues); diff != "" {
		t.Errorf("the reference file does not mean the defaults, -smallest +reference:\n%s", diff)
	}
}

// TestReferenceFileShowsTheDefaults writes every default out. No mode has all
// the keys, so each is written out in a mode that it is for.
func TestReferenceFileShowsTheDefaults(t *testing.T) {
	tests := []struct {
		name    string
		without []string       // keys of other modes
		give    map[string]any // what the mode needs
		want    string         // the service, as one writes it
	}{
		{
			"refuse", slices.Concat(idleIn(proxy.Reverse), under("tls", terminateKeys), under("tls", passKeys), under("backend_tls", backendTLSKeys)), nil,
			smallest,
		},
		{
			"terminate and explicit", slices.Concat(idleIn(proxy.Reverse), under("tls", passKeys)),
			map[string]any{"tls.mode": "terminate", "tls.certificate": "/c.pem", "backend_tls.mode": "explicit"},
			withTLS("tls.certificate = \"/c.pem\"\nbackend_tls.mode = \"explicit\"", ""),
		},
		{
			"pass", slices.Concat(idleIn(proxy.Reverse), under("tls", terminateKeys), under("backend_tls", backendTLSKeys)), map[string]any{"tls.mode": "pass"},
			withTLS(`tls.mode = "pass"`, ""),
		},
		{
			"forward", idleIn(proxy.Forward),
			map[string]any{"mode": "forward", "tls.mode": "pass", "listen": []string{"0.0.0.0:2121"}, "intercept.from": []string{"10.0.0.0/8"}},
			smallestForward,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := withDefaults(t, tt.without, tt.give)
			if diff := cmp.Diff(mustParse(t, tt.want), mustParse(t, text), netipValues); diff != "" {
				t.Errorf("a default in the reference file is another, -default +reference:\n%s", diff)
			}
		})
	}
}

// idleIn lists the keys of a service that do nothing in a mode.
func idleIn(m proxy.Mode) []string {
	var paths []string
	for _, k := range schema {
		if k.idle(m) != "" {
			paths = append(paths, strings.TrimPrefix(k.path, "service."))
		}
	}
	return paths
}

func under(table string, keys []string) []string {
	paths := make([]string, len(keys))
	for i, k := range keys {
		paths[i] = dot(table, k)
	}
	return paths
}

// withDefaults returns the reference file with its defaults written out, less
// some keys of the service, and with others of its values.
func withDefaults(t *testing.T, without []string, give map[string]any) string {
	t.Helper()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(defaultLine.ReplaceAllString(referenceFile(t), "$1")), &tree); err != nil {
		t.Fatal(err)
	}
	service := tree["service"].([]map[string]any)[0]
	home := func(path string) (table map[string]any, key string) {
		if name, key, ok := strings.Cut(path, "."); ok {
			return service[name].(map[string]any), key
		}
		return service, path
	}
	for _, path := range without {
		table, key := home(path)
		if _, ok := table[key]; !ok {
			t.Errorf("%s is not in the reference file", path)
		}
		delete(table, key)
	}
	for path, v := range give {
		table, key := home(path)
		table[key] = v
	}
	text, err := toml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestReferenceFileHasNoTableInAComment(t *testing.T) {
	text := referenceFile(t)
	if i := strings.Index(text, "\n#["); i >= 0 {
		t.Errorf("a table is commented out, so its keys fall to the one above: %q", text[i+1:i+20])
	}
}

func TestReferenceFileHasEveryKey(t *testing.T) {
	var tree map[string]any
	if err := toml.Unmarshal([]byte(defaultLine.ReplaceAllString(referenceFile(t), "$1")), &tree); err != nil {
		t.Fatal(err)
	}
	written := make(map[string]bool)
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, v := range v {
				walk(dot(path, name), v)
			}
		case []map[string]any:
			for _, t := range v {
				walk(path, t)
			}
		default:
			written[path] = true
		}
	}
	walk("", tree)
	for _, k := range schema {
		if k.later == "" && !written[k.path] {
			t.Errorf("%s is not in the reference file", k.path)
		}
	}
}
