package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"ftpgate/alg"
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
// the keys of TLS, so each is written out in the mode that it is for.
func TestReferenceFileShowsTheDefaults(t *testing.T) {
	tests := []struct {
		name    string
		without map[string][]string // keys of other modes, by table
		give    map[string]string   // what the mode needs
		want    func(*proxy.Service)
	}{
		{
			"refuse", map[string][]string{"tls": slices.Concat(terminateKeys, passKeys), "backend_tls": backendTLSKeys}, nil,
			func(*proxy.Service) {},
		},
		{
			"terminate and explicit", map[string][]string{"tls": passKeys},
			map[string]string{"tls.mode": "terminate", "tls.certificate": "/c.pem", "backend_tls.mode": "explicit"},
			func(s *proxy.Service) {
				s.TLS.Mode, s.TLS.Certificate, s.BackendTLS.Mode = alg.TerminateTLS, "/c.pem", proxy.BackendExplicit
			},
		},
		{
			"pass", map[string][]string{"tls": terminateKeys, "backend_tls": backendTLSKeys}, map[string]string{"tls.mode": "pass"},
			func(s *proxy.Service) { s.TLS.Mode = alg.PassTLS },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := withDefaults(t, tt.without, tt.give)
			want := mustParse(t, smallest)
			tt.want(&want.Settings.Services[0])
			if diff := cmp.Diff(want, mustParse(t, text), netipValues); diff != "" {
				t.Errorf("a default in the reference file is another, -default +reference:\n%s", diff)
			}
		})
	}
}

// withDefaults returns the reference file with its defaults written out, less
// some keys of the service, and with others of its values.
func withDefaults(t *testing.T, without map[string][]string, give map[string]string) string {
	t.Helper()
	var tree map[string]any
	if err := toml.Unmarshal([]byte(defaultLine.ReplaceAllString(referenceFile(t), "$1")), &tree); err != nil {
		t.Fatal(err)
	}
	service := tree["service"].([]map[string]any)[0]
	for table, keys := range without {
		for _, k := range keys {
			if _, ok := service[table].(map[string]any)[k]; !ok {
				t.Errorf("%s.%s is not in the reference file", table, k)
			}
			delete(service[table].(map[string]any), k)
		}
	}
	for key, v := range give {
		table, k, _ := strings.Cut(key, ".")
		service[table].(map[string]any)[k] = v
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
