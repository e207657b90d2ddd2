package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/config"
	"ftpgate/nft"
)

// fakeHost is a host with files of its own, for parameters that a network namespace
// does not have.
func fakeHost(t *testing.T, files map[string]string) *host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		name = filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, problems := config.Parse([]byte("[[service]]\nname = \"files\"\nlisten = [\"127.0.0.1:21\"]\nbackends = [\"127.0.0.2:21\"]\ntls.mode = \"refuse\"\n"))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return newHost(Options{File: file, Root: root})
}

// set does what sysctl -w NAME=VALUE would.
func set(t *testing.T, h *host, command string) {
	t.Helper()
	name, value, ok := strings.Cut(strings.TrimPrefix(command, "sysctl -w "), "=")
	if !ok {
		t.Fatalf("%q sets nothing", command)
	}
	if err := os.WriteFile(h.path("/proc/sys/"+strings.ReplaceAll(name, ".", "/")), []byte(value), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConntrackFull(t *testing.T) {
	const count, limit = "proc/sys/net/netfilter/nf_conntrack_count", "proc/sys/net/netfilter/nf_conntrack_max"
	for name, test := range map[string]struct {
		count    string
		severity Severity
	}{
		"empty": {"0", ""}, "busy": {"899", ""}, "nearly full": {"900", Warning}, "full": {"1000", Error},
	} {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t, map[string]string{count: test.count, limit: "1000"})
			found, err := conntrackFull(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			if test.severity == "" {
				if len(found) > 0 {
					t.Errorf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].Severity != test.severity {
				t.Fatalf("found %+v, want a %s", found, test.severity)
			}
			set(t, h, found[0].Mend[0])
			if found, err := conntrackFull(t.Context(), h); err != nil || len(found) > 0 {
				t.Errorf("after the mend: %v %+v", err, found)
			}
		})
	}
	if found, err := conntrackFull(t.Context(), fakeHost(t, nil)); err != nil || len(found) > 0 {
		t.Errorf("without conntrack: %v %+v", err, found)
	}
}

// Before Linux 6.0 the kernel could assign its helper by itself.
func TestAutomaticHelper(t *testing.T) {
	const on, ports = "proc/sys/net/netfilter/nf_conntrack_helper", "sys/module/nf_conntrack_ftp/parameters/ports"
	for name, test := range map[string]struct {
		files map[string]string
		finds bool
	}{
		"on":              {map[string]string{on: "1", ports: "21"}, true},
		"on other ports":  {map[string]string{on: "1", ports: "2121,2122"}, false},
		"among others":    {map[string]string{on: "1", ports: "2121,21"}, true},
		"off":             {map[string]string{on: "0", ports: "21"}, false},
		"without helper":  {map[string]string{on: "1"}, false},
		"a newer kernel":  {map[string]string{ports: "21"}, false},
		"neither of them": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t, test.files)
			found := h.automaticHelper()
			if got := len(found) > 0; got != test.finds {
				t.Fatalf("found %+v, want %v", found, test.finds)
			}
			for _, f := range found {
				set(t, h, f.Mend[0])
			}
			if found := h.automaticHelper(); len(found) > 0 {
				t.Errorf("after the mend: %+v", found)
			}
		})
	}
}

func TestOldKernels(t *testing.T) {
	for release, old := range map[string]bool{
		"4.19.0-27-amd64": true, "5.9.16": true, "5.10.0-33-amd64": false, "5.15": false, "6.1.0-40-amd64": false, "6.18.44": false, "next": false,
	} {
		if got := tooOld(release) != nil; got != old {
			t.Errorf("%s is too old: %v, want %v", release, got, old)
		}
	}
	if found := lacking(nft.Features{}, true, "6.1"); len(found) != 1 || found[0].Severity != Notice || !strings.Contains(found[0].Edit, `nft.owner = "off"`) {
		t.Errorf("without owner: %+v", found)
	}
	if found := lacking(nft.Features{}, false, "6.1"); len(found) > 0 { // as it says
		t.Errorf("with nft.owner = off: %+v", found)
	}
	if found := lacking(nft.Features{Owner: true}, true, "6.18"); len(found) > 0 {
		t.Errorf("with all: %+v", found)
	}
}

func TestCovers(t *testing.T) {
	for list, want := range map[string]bool{
		"": false, "61000-64999": true, "60000-65535": true, "61000-64998": false, "61001-64999": false,
		"80,61000-62000,62001-64999": true, "80,61000-62000,62002-64999": false, "61000": false,
	} {
		if got := covers(list, 61000, 64999); got != want {
			t.Errorf("%q covers 61000-64999: %v, want %v", list, got, want)
		}
	}
}

// What is written in place of flush ruleset.
func TestFlushOwn(t *testing.T) {
	for text, want := range map[string]string{
		"flush ruleset\n":                              "# flush ruleset",
		"flush ruleset\ntable inet filter {\n}\n":      `table inet filter\ndelete table inet filter`,
		"table nat {\n}\nadd table ip6 x\ntable nat\n": `table ip nat\ndelete table ip nat\ntable ip6 x\ndelete table ip6 x`,
		"# table inet old {\n":                         "# flush ruleset",
	} {
		if got := flushOwn(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
