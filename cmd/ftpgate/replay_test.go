package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplay: what it prints, and the status that scripts go by.
func TestReplay(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good", "C: PASV\nS: 227 (10,0,0,5,195,80)\n")
	active := file("active", "C: PORT 192,0,2,9,195,80\nS: 200 Ok\n")
	config := file("config", `
[[service]]
name = "a"
listen = ["192.0.2.1:21"]
backends = ["10.9.9.9:21"]
tls.mode = "refuse"
[[service]]
name = "b"
listen = ["192.0.2.2:21"]
backends = ["10.9.9.9:21"]
ports = "62000-62999"
tls.mode = "refuse"
active_address = "peer"
`)
	for _, test := range []struct {
		name   string
		args   []string
		status int
		out    string // is in what is printed, or in what is complained of
	}{
		{"nothing to object to", []string{good}, exitDone, "198.51.100.7 -> 198.51.100.1:61000 -> 10.0.0.5:50000"},
		{"addresses", []string{good, "--client", "192.0.2.7", "--gateway", "192.0.2.1", "--server", "10.1.1.1", "--ports", "5000-5001"}, exitDone, "192.0.2.7 -> 192.0.2.1:5000 -> 10.1.1.1:50000"},
		{"a refusal", []string{active}, exitFailed, "refused (bounce)"},
		{"a service that does not refuse it", []string{active, "-c", config, "--service", "b"}, exitDone, "-> 198.51.100.7:50000, active"},
		{"the service's own addresses", []string{good, "-c", config, "--service", "b"}, exitDone, "198.51.100.7 -> 192.0.2.2:62000 -> 10.9.9.9:50000"},
		{"JSON", []string{good, "--json"}, exitDone, `{"summary":{"sessions":1,`},
		{"no such file", []string{filepath.Join(dir, "none")}, exitFailed, "open the recording"},
		{"no dialogue", []string{file("empty", "")}, exitFailed, "it is empty"},
		{"a line that cannot be read", []string{file("torn", "C: NOOP\nwhat\n")}, exitFailed, "1 line could not be read"},
		{"a configuration that is not good", []string{good, "-c", good}, exitFailed, "not TOML"},
		{"no file", nil, exitUsage, "accepts 1 arg"},
		{"which service", []string{good, "-c", config}, exitUsage, "say --service, one of a, b"},
		{"no such service", []string{good, "-c", config, "--service", "c"}, exitUsage, `there is no "c"`},
		{"no address", []string{good, "--client", "here"}, exitUsage, "not an address"},
		{"no address with a zone", []string{good, "--client", "fe80::1%eth0"}, exitUsage, "not an address"},
		{"two families", []string{good, "--client", "2001:db8::1", "--gateway", "192.0.2.1"}, exitUsage, "cannot dial it"},
		{"no port", []string{good, "--port", "0"}, exitUsage, "not a port"},
		{"no range", []string{good, "--ports", "9-1"}, exitUsage, "not a range"},
		{"no such session", []string{good, "--session", "7"}, exitFailed, "there is no session 7 in it"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := execute(append([]string{"replay"}, test.args...), &stdout, &stderr)
			printed := stdout.String() + stderr.String()
			if status != test.status || !strings.Contains(printed, test.out) {
				t.Errorf("status %d, want %d; %q is to be in:\n%s", status, test.status, test.out, printed)
			}
		})
	}
}
