package config

import (
	"testing"

	"ftpgate/proxy"
)

func TestDataPeer(t *testing.T) {
	for _, tt := range []struct {
		written string
		want    proxy.PeerBits
	}{
		{"exact", proxy.PeerBits{}},
		{"/24", proxy.PeerBits{V4: 24}},
		{"/8", proxy.PeerBits{V4: 8}},
		{"/32", proxy.PeerBits{}}, // one address
		{"/33", proxy.PeerBits{V6: 33}},
		{"/64", proxy.PeerBits{V6: 64}},
		{"/128", proxy.PeerBits{}},
		{"/24,/64", proxy.PeerBits{V4: 24, V6: 64}},
		{"/32,/32", proxy.PeerBits{V6: 32}},
		{"/8,/128", proxy.PeerBits{V4: 8}},
	} {
		got, err := dataPeer(tt.written)
		if err != nil || got != tt.want {
			t.Errorf("%s is %+v, %v, want %+v", tt.written, got, err, tt.want)
		}
	}
	const values = ` is not one of the values: write "exact", "/24" for IPv4 clients, "/64" for IPv6 clients, or "/24,/64"`
	for written, want := range map[string]string{
		"any":      `"any"` + values,
		"":         `""` + values,
		"24":       `"24"` + values,
		"/24, /64": `"/24, /64"` + values,
		"/24,":     `"/24,"` + values,
		"/7":       `"/7" has /7 for IPv4 clients: write /8 to /32`,
		"/129":     `"/129" has /129 for IPv6 clients: write /32 to /128`,
		"/64,/24":  `"/64,/24" has /64 for IPv4 clients: write /8 to /32`,
		"/24,/24":  `"/24,/24" has /24 for IPv6 clients: write /32 to /128`,
		"/0,/64":   `"/0,/64" has /0 for IPv4 clients: write /8 to /32`,
	} {
		wantProblems(t, smallest+"data_peer = \""+written+"\"\n", Problem{"service[0].data_peer", 6, want})
	}
}

// TestPeersThatNobodyIs: a width for a family that no listener has.
func TestPeersThatNobodyIs(t *testing.T) {
	const tail = " address; write \"exact\""
	key := func(text string) Problem { return Problem{"service[0].data_peer", 6, text + tail} }
	wantProblems(t, smallest+"data_peer = \"/64\"\n", key("widens nothing: it is for v6 clients, and listen has no v6"))
	wantProblems(t, onV6+"data_peer = \"/24\"\n", key("widens nothing: it is for v4 clients, and listen has no v4"))
	for _, written := range []string{"/64", "/24,/64"} {
		mustParse(t, onV6+"data_peer = \""+written+"\"\n")
	}
	mustParse(t, smallest+"data_peer = \"/24,/64\"\n")
}

// onV6 is the smallest file with IPv6.
const onV6 = `[[service]]
name = "files"
listen = ["[2001:db8::1]:21"]
backends = ["[fd00:10::5]:21"]
tls.mode = "refuse"
`

func TestSourceIsStored(t *testing.T) {
	for _, lines := range []string{
		"tls.mode = \"refuse\"", "tls.mode = \"pass\"", "tls.mode = \"refuse\"\ndata = \"kernel\"",
	} {
		got := mustParse(t, withTLS(lines+"\nsource = \"client\"", `"10.0.0.5:21", "[fd00:10::5]:21"`)).Settings.Services[0]
		if !got.FromClient {
			t.Errorf("%s: servers see the gateway", lines)
		}
	}
	if got := mustParse(t, smallestForward+"source = \"client\"\n").Settings.Services[0]; !got.FromClient {
		t.Error("forward: servers see the gateway")
	}
}

// TestSourceContradicts holds what servers get from this host's own address. The
// lines given begin at line 5, with source = "client".
func TestSourceContradicts(t *testing.T) {
	const relayed = `since this program carries such data and dials from its own address: write "gateway", or `
	refuse := "source = \"client\"\ntls.mode = \"refuse\"\n"
	tests := []struct {
		name, lines, backends string
		want                  []Problem
	}{
		{"source_address", refuse + `source_address = "10.0.0.1"`, "", []Problem{
			{"service[0].source", 5, `"client" contradicts source_address, an address of this host: leave one of them out`},
		}},
		{"data that is relayed", refuse + `data = "relay"`, "", []Problem{
			{"service[0].source", 5, `"client" contradicts data = "relay", ` + relayed + `data = "auto"`},
		}},
		{"TLS that ends here", "source = \"client\"\ntls.certificate = \"/c.pem\"", "", []Problem{
			{"service[0].source", 5, `"client" contradicts tls.mode = "terminate", ` + relayed + `tls.mode = "pass" or "refuse"`},
		}},
		{"TLS that begins here", refuse + `backend_tls.mode = "implicit"`, "", []Problem{
			{"service[0].source", 5, `"client" contradicts backend_tls.mode = "implicit", ` + relayed + `backend_tls.mode = "clear"`},
		}},
		{"a backend of the other family", refuse, `"[fd00:10::5]:21"`, []Problem{
			{"service[0].listen[0]", 3, `a v4 listener needs a v4 backend with source = "client", since a server can see no address of the other family: add one to backends, or leave "198.51.100.1:21" out`},
		}},
		{"a backend on loopback", refuse, `"10.0.0.5:21", "127.0.0.1:21"`, []Problem{
			{"service[0].backends[1]", 4, `"127.0.0.1:21" is on loopback, where no address of a client can be seen: write source = "gateway", or have the server listen on another address of this host`},
		}},
		{"ports that nobody dials", refuse + `active_ports = "20000-59999"`, "", []Problem{
			{"service[0].active_ports", 7, `does nothing with source = "client": the server dials the client's own port; leave it out`},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantProblems(t, withTLS(tt.lines, tt.backends), tt.want...) })
	}
	// In forward mode, what cannot be at all is said once.
	wantProblems(t, smallestForward+"data = \"relay\"\nsource = \"client\"\n",
		Problem{"service[0].data", 6, `"relay" cannot be with mode = "forward": the kernel carries all data; write "auto"`})
}
