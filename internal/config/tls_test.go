package config

import (
	"crypto/tls"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// withTLS is the smallest file with other lines than its line 5, tls.mode, and
// other backends if any are given.
func withTLS(lines, backends string) string {
	text := strings.Replace(smallest, "tls.mode = \"refuse\"\n", lines+"\n", 1)
	if backends != "" {
		text = strings.Replace(text, `"10.0.0.5:21"`, backends, 1)
	}
	return text
}

func TestTLSIsStored(t *testing.T) {
	clear := proxy.BackendTLS{Mode: proxy.BackendClear, MinVersion: tls.VersionTLS12}
	tests := []struct {
		name, lines string
		want        proxy.TLS
		backend     proxy.BackendTLS
	}{
		{
			"terminate", `tls = { mode = "terminate", require = true, implicit = true, certificate = "/c.pem", key = "/k.pem", min_version = "1.3", client_ca = "/ca.pem", require_resumption = false }`,
			proxy.TLS{
				Mode: alg.TerminateTLS, Require: true, Implicit: true, Certificate: "/c.pem", Key: "/k.pem", ClientCA: "/ca.pem",
				MinVersion: tls.VersionTLS13, PassFlows: 4,
			}, clear,
		},
		{
			"a certificate says terminate", `tls.certificate = "/c.pem"`,
			proxy.TLS{Mode: alg.TerminateTLS, Certificate: "/c.pem", MinVersion: tls.VersionTLS12, RequireResumption: true, PassFlows: 4}, clear,
		},
		{
			"pass without ports", `tls.mode = "pass"`,
			proxy.TLS{Mode: alg.PassTLS, MinVersion: tls.VersionTLS12, RequireResumption: true, PassFlows: 4}, clear,
		},
		{
			"pass", "tls = { mode = \"pass\", pass_ports = \"10000-14095\", pass_flows = 64 }",
			proxy.TLS{
				Mode: alg.PassTLS, MinVersion: tls.VersionTLS12, RequireResumption: true,
				PassPorts: proxy.PortRange{First: 10000, Last: 14095}, PassTo: 10000, PassFlows: 64,
			}, clear,
		},
		{
			"pass to other ports", "tls = { mode = \"pass\", pass_ports = \"1024-2047:64512\", pass_flows = 1 }",
			proxy.TLS{
				Mode: alg.PassTLS, MinVersion: tls.VersionTLS12, RequireResumption: true,
				PassPorts: proxy.PortRange{First: 1024, Last: 2047}, PassTo: 64512, PassFlows: 1,
			}, clear,
		},
		{
			"backends, while clients are in clear",
			`tls.mode = "refuse"` + "\n" + `backend_tls = { mode = "explicit", ca = "/ca.pem", server_name = "ftp-1.example.com", certificate = "/c.pem", key = "/k.pem", min_version = "1.3" }`,
			tlsDefaults,
			proxy.BackendTLS{Mode: proxy.BackendExplicit, CA: "/ca.pem", ServerName: "ftp-1.example.com", Certificate: "/c.pem", Key: "/k.pem", MinVersion: tls.VersionTLS13},
		},
		{
			"any backend, by an address in its certificate", `tls.mode = "refuse"` + "\n" + `backend_tls = { mode = "implicit", server_name = "10.0.0.5", insecure_skip_verify = true, certificate = "/c.pem" }`,
			tlsDefaults,
			proxy.BackendTLS{Mode: proxy.BackendImplicit, ServerName: "10.0.0.5", Certificate: "/c.pem", MinVersion: tls.VersionTLS12, InsecureSkipVerify: true},
		},
		{
			"what is left out by two quotes is not there", `tls = { mode = "refuse", certificate = "", key = "", client_ca = "", pass_ports = "" }` + "\n" + `backend_tls = { ca = "", server_name = "", certificate = "", key = "" }`,
			tlsDefaults, clear,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := mustParse(t, withTLS(tt.lines, "")).Settings.Services[0]
			if diff := cmp.Diff(tt.want, got.TLS); diff != "" {
				t.Errorf("tls: -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(tt.backend, got.BackendTLS); diff != "" {
				t.Errorf("backend_tls: -want +got:\n%s", diff)
			}
		})
	}
}

func TestBackendsThatNeedTheRelay(t *testing.T) {
	for _, tt := range []struct {
		lines, backends string
		want            proxy.DataPath
	}{
		{`tls.mode = "refuse"`, `"127.0.0.1:2121"`, proxy.DataAuto},
		{`tls.mode = "refuse"`, `"[fd00:10::5]:21"`, proxy.DataAuto},
		{"tls.mode = \"refuse\"\ndata = \"relay\"", `"10.0.0.5:21", "[::1]:21"`, proxy.DataRelay},
		{"tls.mode = \"terminate\"\ntls.certificate = \"/c.pem\"\ndata = \"kernel\"", `"10.0.0.5:21"`, proxy.DataKernel},
	} {
		service := mustParse(t, withTLS(tt.lines, tt.backends)).Settings.Services[0]
		if service.Data != tt.want {
			t.Errorf("%s: data is %q, want %q", tt.lines, service.Data, tt.want)
		}
		var written []string
		for _, b := range service.Backends {
			written = append(written, `"`+b.String()+`"`)
		}
		if got := strings.Join(written, ", "); got != tt.backends {
			t.Errorf("backends are %s, want %s", got, tt.backends)
		}
	}
}

// TestBadTLSValues writes one bad value, as line 6 of a file whose modes have all the keys.
func TestBadTLSValues(t *testing.T) {
	const (
		terminate = "tls.certificate = \"/c.pem\"\n"
		pass      = "tls.mode = \"pass\"\n"
		explicit  = "tls.mode = \"refuse\"\nbackend_tls = { mode = \"explicit\", "
	)
	tests := []struct{ before, key, value, text string }{
		{terminate, "tls.mode", `"on"`, `"on" is not one of the values: write "refuse", "pass" or "terminate"`},
		{terminate, "tls.mode", `""`, `"" is not one of the values: write "refuse", "pass" or "terminate"`},
		{terminate, "tls.require", `"yes"`, `"yes" is neither true nor false: write one of them, without quotes`},
		{terminate, "tls.implicit", `990`, `990 is neither true nor false: write one of them, without quotes`},
		{terminate, "tls.require_resumption", `1`, `1 is neither true nor false: write one of them, without quotes`},
		{terminate, "tls.key", `"k.pem"`, `"k.pem" is not an absolute path: write e.g. "/etc/ftpgate/files.pem"`},
		{terminate, "tls.client_ca", `true`, `true is not text: write it in quotes, "true"`},
		{terminate, "tls.client_ca", `"/ca\u0000"`, `"/ca\x00" has control characters: write it without`},
		{terminate, "tls.min_version", `1.2`, `1.2 is not text: write it in quotes, "1.2"`},
		{terminate, "tls.min_version", `"1.1"`, `"1.1" is not one of the values: write "1.2" or "1.3"`},

		{pass, "tls.pass_ports", `"10000"`, `"10000" is not a range: write FIRST-LAST, e.g. "10000-10999"`},
		{pass, "tls.pass_ports", `":50000"`, `"" is not a range: write FIRST-LAST, e.g. "10000-10999"`},
		{pass, "tls.pass_ports", `"1000-1999"`, `"1000-1999" begins below 1024: servers and clients refuse such ports; write 1024 or more`},
		{pass, "tls.pass_ports", `"2000-1999"`, `"2000-1999" ends before it begins: write "1999-2000"`},
		{pass, "tls.pass_ports", `"10000-10999:"`, `"" is not a port of the backend: write FIRST-LAST:TO, e.g. "10000-10999:50000"`},
		{pass, "tls.pass_ports", `"10000-10999:50000-50999"`, `"50000-50999" is not a port of the backend: write FIRST-LAST:TO, e.g. "10000-10999:50000"`},
		{pass, "tls.pass_ports", `"10000-10999:1023"`, `"10000-10999:1023" leads below 1024: servers take no data there; write 1024 or more`},
		{pass, "tls.pass_ports", `"10000-10999:64537"`, `"10000-10999:64537" leads to ports up to 65536: write a first port of at most 64536`},
		{pass, "tls.pass_ports", `"10000-14096"`, `"10000-14096" has 4097 ports: write at most 4096`},
		{pass, "tls.pass_ports", `50000`, `50000 is not text: write it in quotes, "50000"`},
		{pass, "tls.pass_flows", `0`, `0 is not from 1 to 64`},
		{pass, "tls.pass_flows", `65`, `65 is not from 1 to 64`},
		{pass, "tls.pass_flows", `"4"`, `"4" is not a whole number: write one, without quotes`},

		{explicit, "backend_tls.ca", `"ca.pem"`, `"ca.pem" is not an absolute path: write e.g. "/etc/ftpgate/files.pem"`},
		{explicit, "backend_tls.certificate", `"~/c.pem"`, `"~/c.pem" is not an absolute path: write e.g. "/etc/ftpgate/files.pem"`},
		{explicit, "backend_tls.min_version", `"1"`, `"1" is not one of the values: write "1.2" or "1.3"`},
		{explicit, "backend_tls.insecure_skip_verify", `"true"`, `"true" is neither true nor false: write one of them, without quotes`},
		{explicit, "backend_tls.server_name", `"*.example.com"`, `"*.example.com" is not the name of a host: write it as the certificate has it, e.g. "ftp.example.com", or an address`},
		{explicit, "backend_tls.server_name", `10`, `10 is not text: write it in quotes, "10"`},
		{explicit, "backend_tls.server_name", `"10.0.0.256"`, `"10.0.0.256" is not the name of a host: write it as the certificate has it, e.g. "ftp.example.com", or an address`},
		{explicit, "backend_tls.server_name", `"ftp..example.com"`, `"ftp..example.com" is not the name of a host: write it as the certificate has it, e.g. "ftp.example.com", or an address`},
		{explicit, "backend_tls.server_name", `"fe80::1%eth0"`, `"fe80::1%eth0" has a zone: write an address that is not link-local`},
		{explicit, "backend_tls.mode", `"starttls"`, `"starttls" is not one of the values: write "clear", "explicit" or "implicit"`},
	}
	for _, tt := range tests {
		t.Run(tt.key+" = "+tt.value, func(t *testing.T) {
			lines := tt.before + tt.key + " = " + tt.value
			if name, ok := strings.CutPrefix(tt.key, "backend_tls."); ok {
				lines = tt.before + name + " = " + tt.value + " }"
			}
			if strings.HasSuffix(tt.key, "backend_tls.mode") {
				lines = "tls.mode = \"refuse\"\nbackend_tls.mode = " + tt.value
			}
			wantProblems(t, withTLS(lines, ""), Problem{"service[0]." + tt.key, 6, tt.text})
		})
	}
}

func wantProblems(t *testing.T, text string, want ...Problem) {
	t.Helper()
	_, got := Parse([]byte(text))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestGatewayThatDialsItself: a listener on any address has loopback too.
func TestGatewayThatDialsItself(t *testing.T) {
	for _, tt := range []struct {
		listen, backend string
		itself          bool
	}{
		{"0.0.0.0:21", "127.0.0.1:21", true},
		{"[::]:21", "[::1]:21", true},
		{"127.0.0.2:21", "127.0.0.2:21", true},
		{"0.0.0.0:21", "127.0.0.1:2121", false},
		{"[::]:21", "127.0.0.1:21", false},
		{"127.0.0.2:21", "127.0.0.1:21", false},
		{"0.0.0.0:21", "10.0.0.5:21", false},
	} {
		if got := takes(netip.MustParseAddrPort(tt.listen), netip.MustParseAddrPort(tt.backend)); got != tt.itself {
			t.Errorf("a listener on %s takes %s: %v, want %v", tt.listen, tt.backend, got, tt.itself)
		}
	}
	wantProblems(t, withTLS("tls.mode = \"refuse\"\n[[service]]\nname = \"b\"\nlisten = [\"0.0.0.0:2121\"]\nbackends = [\"10.0.0.6:21\"]\ntls.mode = \"refuse\"", `"127.0.0.1:2121"`),
		Problem{"service[0].backends[0]", 4, `"127.0.0.1:2121" is where service[1] listens: the gateway would dial itself; write the server's address`})
}
