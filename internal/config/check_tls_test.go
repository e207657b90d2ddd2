package config

import (
	"strings"
	"testing"
)

// TestIdleKeys: a key that the mode does not use is an error, whatever it says.
func TestIdleKeys(t *testing.T) {
	type lines struct {
		mode, key, want string
	}
	var tests []lines
	values := map[string]string{
		"require": "false", "implicit": "true", "min_version": `"1.2"`, "require_resumption": "true",
		"pass_ports": `"10000-10999"`, "pass_flows": "4", "server_name": `"ftp.example.com"`, "insecure_skip_verify": "false",
	}
	add := func(mode, table string, keys []string, want string) {
		for _, k := range keys {
			v := values[k]
			if v == "" {
				v = `"/x.pem"`
			}
			tests = append(tests, lines{mode, table + "." + k + " = " + v, want})
		}
	}
	refuse, pass, terminate := `tls.mode = "refuse"`, `tls.mode = "pass"`, `tls = { mode = "terminate", certificate = "/c.pem" }`
	add(refuse, "tls", terminateKeys, `does nothing with tls.mode = "refuse": leave it out, or write tls.mode = "terminate"`)
	add(pass, "tls", terminateKeys, `does nothing with tls.mode = "pass": leave it out, or write tls.mode = "terminate"`)
	add(refuse, "tls", passKeys, `does nothing with tls.mode = "refuse": leave it out, or write tls.mode = "pass"`)
	add(refuse, "backend_tls", backendTLSKeys, `does nothing with backend_tls.mode = "clear": leave it out, or write backend_tls.mode = "explicit" or "implicit"`)
	add(terminate, "backend_tls", backendTLSKeys, `does nothing with backend_tls.mode = "clear": leave it out, or write backend_tls.mode = "explicit" or "implicit"`)
	for _, tt := range tests {
		t.Run(tt.mode+" "+tt.key, func(t *testing.T) {
			key, _, _ := strings.Cut(tt.key, " ")
			wantProblems(t, withTLS(tt.mode+"\n"+tt.key, ""), Problem{"service[0]." + key, 6, tt.want})
		})
	}
	// An inline table takes no key from outside of it.
	for _, key := range []string{`pass_ports = "10000-10999"`, "pass_flows = 4"} {
		name, _, _ := strings.Cut(key, " ")
		wantProblems(t, withTLS(`tls = { mode = "terminate", certificate = "/c.pem", `+key+" }", ""),
			Problem{"service[0].tls." + name, 5, `does nothing with tls.mode = "terminate": leave it out, or write tls.mode = "pass"`})
	}
}

// TestContradictions holds rules of more than one key. The lines given begin at line 5.
func TestContradictions(t *testing.T) {
	const second = "one more v4 backend: with tls.mode = \"pass\" it cannot be told which of them a client dials; write one, and a [[service]] for each other"
	tests := []struct {
		name, lines, backends string
		want                  []Problem
	}{
		{"terminate without a certificate", `tls.mode = "terminate"`, "", []Problem{
			{"service[0].tls.certificate", 5, `missing: tls.mode = "terminate" needs one; write the path of a PEM file, e.g. tls.certificate = "/etc/ftpgate/files.pem"`},
		}},
		{"terminate with an empty certificate", "tls.mode = \"terminate\"\ntls.certificate = \"\"\ntls.key = \"/k.pem\"", "", []Problem{
			{"service[0].tls.certificate", 6, `missing: tls.mode = "terminate" needs one; write the path of a PEM file, e.g. tls.certificate = "/etc/ftpgate/files.pem"`},
		}},
		{"an empty certificate says nothing", `tls.certificate = ""`, "", []Problem{{"service[0].tls.mode", 5, needsTLSMode}}},
		{"a bad certificate says terminate", `tls.certificate = "c.pem"`, "", []Problem{
			{"service[0].tls.certificate", 5, `"c.pem" is not an absolute path: write e.g. "/etc/ftpgate/files.pem"`},
		}},
		{"no mode, and a key of one", `tls.require = true`, "", []Problem{{"service[0].tls.mode", 5, needsTLSMode}}},

		{"pass with two backends of a family", `tls.mode = "pass"`, `"10.0.0.5:21", "[fd00:10::5]:21", "10.0.0.6:21"`, []Problem{
			{"service[0].backends[2]", 4, `"10.0.0.6:21" is ` + second},
		}},
		{"pass with a backend of the other family", `tls.mode = "pass"`, `"[fd00:10::5]:21"`, []Problem{
			{"service[0].listen[0]", 3, `a v4 listener needs a v4 backend with tls.mode = "pass", since no address within the TLS can be changed: add one to backends, or leave "198.51.100.1:21" out`},
		}},
		{"pass to loopback", "tls.mode = \"pass\"\ntls.pass_ports = \"10000-10999\"", `"127.0.0.1:21"`, []Problem{
			{"service[0].backends[0]", 4, `"127.0.0.1:21" is on loopback: the kernel carries what goes through pass_ports, and not to loopback; have the server listen on another address of this host`},
		}},
		{"pass with TLS of ours", "tls.mode = \"pass\"\nbackend_tls.mode = \"implicit\"", "", []Problem{
			{"service[0].backend_tls.mode", 6, `"implicit" contradicts tls.mode = "pass", where the TLS of the client goes through to the server: write "clear", or tls.mode = "terminate"`},
		}},

		{"a backend's key without a certificate", "tls.mode = \"refuse\"\nbackend_tls = { mode = \"explicit\",\nkey = \"/k.pem\" }", "", []Problem{
			{"service[0].backend_tls.key", 7, `is the key of no certificate: write backend_tls.certificate too, or leave it out`},
		}},
		{"no verification, with a CA", "tls.mode = \"refuse\"\nbackend_tls = { mode = \"explicit\", ca = \"/ca.pem\",\ninsecure_skip_verify = true }", "", []Problem{
			{"service[0].backend_tls.insecure_skip_verify", 7, `true means that backend_tls.ca is not looked at: leave one of them out`},
		}},

		{"the kernel, and data that must be encrypted", "tls = { certificate = \"/c.pem\", require = true }\ndata = \"kernel\"", "", []Problem{
			{"service[0].data", 6, `"kernel" leaves no data to clients that tls.require makes encrypt it, since the TLS ends in this program: write "auto"`},
		}},
		{"the kernel, and TLS with backends", "tls.mode = \"refuse\"\ndata = \"kernel\"\nbackend_tls.mode = \"explicit\"", "", []Problem{
			{"service[0].data", 6, `"kernel" leaves no data to backends with backend_tls.mode = "explicit", since the TLS begins in this program: write "auto"`},
		}},
		{"the kernel, and loopback", "tls.mode = \"refuse\"\ndata = \"kernel\"", `"10.0.0.5:21", "127.0.0.1:21"`, []Problem{
			{"service[0].backends[1]", 4, `"127.0.0.1:21" is on loopback, where the kernel leads no data: write data = "auto", or have the server listen on another address of this host`},
		}},
		{"pass with a bad backend among two", `tls.mode = "pass"`, `"10.0.0.5", "10.0.0.6:21"`, []Problem{
			{"service[0].backends[0]", 4, `"10.0.0.5" has no port: write "10.0.0.5:21"`},
		}},
		{"pass on IPv6 as well", "tls.mode = \"pass\"\n[[service]]\nname = \"b\"\nlisten = [\"[::]:21\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"pass\"", "", []Problem{
			{"service[1].listen[0]", 8, `a v6 listener needs a v6 backend with tls.mode = "pass", since no address within the TLS can be changed: add one to backends, or leave "[::]:21" out`},
		}},
		{"the kernel, and the other family", "tls.mode = \"refuse\"\ndata = \"kernel\"", `"[fd00:10::5]:21"`, []Problem{
			{"service[0].listen[0]", 3, `a v4 listener needs a v4 backend with data = "kernel", since the kernel does not translate between IPv4 and IPv6: add one to backends, or leave "198.51.100.1:21" out`},
		}},
		{"a bad mode breaks no rule a second time", "tls.mode = \"off\"\ntls.require = true\ntls.pass_flows = 9\nbackend_tls = { mode = \"on\", ca = \"/ca.pem\" }", "", []Problem{
			{"service[0].tls.mode", 5, `"off" is not one of the values: write "refuse", "pass" or "terminate"`},
			{"service[0].backend_tls.mode", 8, `"on" is not one of the values: write "clear", "explicit" or "implicit"`},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantProblems(t, withTLS(tt.lines, tt.backends), tt.want...) })
	}
}

// TestPassPortsOverlap has two services; the pass_ports of the second are on line 10.
func TestPassPortsOverlap(t *testing.T) {
	first := withTLS("tls = { mode = \"pass\", pass_ports = \"10000-10999\" }", "")
	tests := []struct {
		name, ports, more string
		want              []string
	}{
		{"beside all others", "11000-14000", "", nil},
		{"between the others", "60000-60999", "", nil},
		{"where they lead to may be taken", "11000-11999:10000", "", nil},
		{"ports of both services", "64999-65000", "", []string{
			`"64999-65000" overlaps service[0].ports, "61000-64999": move one of them`,
			`"64999-65000" overlaps service[1].ports, "61000-64999": move one of them`,
		}},
		{"its own ports", "5000-5999", `ports = "5500-5600"`, []string{`"5000-5999" overlaps service[1].ports, "5500-5600": move one of them`}},
		{"active_ports are for servers to dial", "20000-20999", "", nil},
		{"pass_ports of the other", "10999-11000", "", []string{`"10999-11000" overlaps service[0].tls.pass_ports, "10000-10999": move one of them`}},
		{"a port of listen", "2000-2121", "", []string{`"2000-2121" has the port of service[1].listen[1], "198.51.100.2:2121": move one of them`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []Problem
			for _, text := range tt.want {
				want = append(want, Problem{"service[1].tls.pass_ports", 10, text})
			}
			wantProblems(t, first+`[[service]]
name = "b"
listen = ["198.51.100.2:21", "198.51.100.2:2121"]
backends = ["10.0.0.6:21"]
tls = { mode = "pass", pass_ports = "`+tt.ports+"\" }\n"+tt.more+"\n", want...)
		})
	}
}
