package replay

import (
	"bytes"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/alg"
	"ftpgate/proxy"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "write what is printed into testdata/*.golden; read the diff")

// TestScripts replays the scripts in testdata and compares what people get to
// read. A comment says under which settings:
//
//	# settings: client=… server=… inside=… tls=terminate require data strict active=off peer=/24 relay forward advertise=… ports=…
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in testdata: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, _ := printed(t, script, optionsOf(t, string(script)))
			golden := strings.TrimSuffix(file, ".txt") + ".golden"
			if *rewrite {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", golden, diff)
			}
			if strings.Contains(got, "secret") {
				t.Error("a password is printed")
			}
		})
	}
}

// printed replays a recording and returns what people get to read.
func printed(t *testing.T, file []byte, o Options) (string, Summary) {
	t.Helper()
	var out bytes.Buffer
	p := NewPrinter(&out, false)
	sum, err := Run(bytes.NewReader(file), o, p.Print)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String(), sum
}

// plain is the service of the tests, with the defaults of a configuration.
func plain() Options {
	listen := netip.MustParseAddrPort("198.51.100.1:21")
	return Options{Own: []netip.AddrPort{listen}, Service: proxy.Service{
		Name: "files", Mode: proxy.Reverse, Listen: []netip.AddrPort{listen}, Backends: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:21")},
		Ports: proxy.PortRange{First: 61000, Last: 64999}, ActivePorts: proxy.PortRange{First: 20000, Last: 59999},
		Passive: true, Active: true, Data: proxy.DataAuto, BackendTLS: proxy.BackendTLS{Mode: proxy.BackendClear},
	}}
}

// optionsOf reads the settings of a script.
func optionsOf(t *testing.T, script string) Options {
	t.Helper()
	o := plain()
	for line := range strings.Lines(script) {
		settings, ok := strings.CutPrefix(strings.TrimSpace(line), "# settings: ")
		if !ok {
			continue
		}
		for word := range strings.FieldsSeq(settings) {
			if err := o.set(word); err != nil {
				t.Fatal(err)
			}
		}
	}
	return o
}

func (o *Options) set(word string) error {
	key, value, _ := strings.Cut(word, "=")
	svc := &o.Service
	switch key {
	case "client":
		o.Client = netip.MustParseAddr(value)
	case "server":
		o.Server = netip.MustParseAddr(value)
	case "inside":
		o.Inside = netip.MustParseAddr(value)
	case "tls":
		svc.TLS.Mode = map[string]alg.TLS{"pass": alg.PassTLS, "terminate": alg.TerminateTLS}[value]
	case "require":
		svc.TLS.Require = true
	case "data":
		svc.TLS.PassPorts, svc.TLS.PassTo, svc.TLS.PassFlows = proxy.PortRange{First: 10000, Last: 10999}, 50000, 4
	case "strict":
		svc.Strict = true
	case "active":
		svc.Active = false
	case "peer":
		svc.PeerBits.V4 = 24
	case "relay":
		svc.Data = proxy.DataRelay
	case "forward":
		svc.Mode = proxy.Forward
	case "advertise":
		svc.Advertise = netip.MustParseAddr(value)
	case "ports":
		_, err := fmt.Sscanf(value, "%d-%d", &svc.Ports.First, &svc.Ports.Last)
		return err
	default:
		return fmt.Errorf("no such setting: %s", key)
	}
	return nil
}

func addr(t *testing.T, s string) netip.Addr {
	t.Helper()
	return netip.MustParseAddr(s)
}

func prefix(t *testing.T, s string) netip.Prefix {
	t.Helper()
	return netip.MustParsePrefix(s)
}
