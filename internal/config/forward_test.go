package config

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/google/go-cmp/cmp"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// smallestForward is the smallest file of a forward service.
const smallestForward = `[[service]]
name   = "files"
mode   = "forward"
listen = ["0.0.0.0:2121"]
intercept.from = ["10.0.0.0/8"]
`

func prefixes(texts ...string) []netip.Prefix { return ranges(texts...).prefixes }

// notForInside is what nobody is led to by default.
var notForInside = prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7",
	"127.0.0.0/8", "::1/128", "169.254.0.0/16", "fe80::/10")

func TestSmallestForwardFileHasTheDefaults(t *testing.T) {
	limits := proxy.Limits{SessionsPerClient: 100, NewPerClient: proxy.Rate{Count: 600, Per: time.Minute}}
	want := proxy.Service{
		Name:         "files",
		Mode:         proxy.Forward,
		Listen:       []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:2121")},
		Intercept:    proxy.Intercept{From: prefixes("10.0.0.0/8"), Ports: []uint16{21}},
		Destinations: proxy.Destinations{Deny: notForInside, DenySelf: true},
		ActivePorts:  proxy.PortRange{First: 20000, Last: 59999},
		Passive:      true,
		Active:       true,
		Data:         proxy.DataAuto,
		TLS:          proxy.TLS{Mode: alg.PassTLS},
		Timeouts:     mustParse(t, smallest).Settings.Services[0].Timeouts,
		Limits:       limits,
	}
	if diff := cmp.Diff(want, mustParse(t, smallestForward).Settings.Services[0], netipValues); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestForwardIsStored(t *testing.T) {
	got := mustParse(t, `[[service]]
name = "out"
mode = "forward"
listen = ["10.0.0.1:2121", "[fd00:10::1]:2121"]
deny_clients = ["10.0.0.66"]
explicit = true
active_ports = "30000-30999"
source_address = "198.51.100.1"
data = "kernel"
tls.mode = "refuse"
intercept = { from = ["10.0.0.0/8", "fd00:10::/64"], except = ["10.0.0.7", "203.0.113.0/24"], interfaces = ["br-lan", "eth0.100"], ports = [21, 2121] }
destinations = { allow = ["private", "198.51.100.0/24"], deny = ["loopback", "10.0.0.0/8", "2001:db8::7"] }
`).Settings.Services[0]
	want := mustParse(t, smallestForward).Settings.Services[0]
	want.Name, want.Explicit, want.Data, want.TLS.Mode = "out", true, proxy.DataKernel, alg.RefuseTLS
	want.Listen = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:2121"), netip.MustParseAddrPort("[fd00:10::1]:2121")}
	want.DenyClients = prefixes("10.0.0.66/32")
	want.ActivePorts = proxy.PortRange{First: 30000, Last: 30999}
	want.SourceAddress = netip.MustParseAddr("198.51.100.1")
	want.Intercept = proxy.Intercept{
		From: prefixes("10.0.0.0/8", "fd00:10::/64"), Except: prefixes("10.0.0.7/32", "203.0.113.0/24"),
		Interfaces: []string{"br-lan", "eth0.100"}, Ports: []uint16{21, 2121},
	}
	want.Destinations = proxy.Destinations{
		Allow: prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "198.51.100.0/24"),
		Deny:  prefixes("127.0.0.0/8", "::1/128", "10.0.0.0/8", "2001:db8::7/128"),
	}
	if diff := cmp.Diff(want, got, netipValues); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestDestinationWords: each denies what it says; none is denied without them.
func TestDestinationWords(t *testing.T) {
	for word, want := range map[string]proxy.Destinations{
		"private":    {Deny: notForInside[:5]},
		"loopback":   {Deny: notForInside[5:7]},
		"link-local": {Deny: notForInside[7:]},
		"self":       {DenySelf: true},
	} {
		got := mustParse(t, smallestForward+"destinations.deny = [\""+word+"\"]\n").Settings.Services[0].Destinations
		if diff := cmp.Diff(want, got, netipValues); diff != "" {
			t.Errorf("%s: -want +got:\n%s", word, diff)
		}
	}
	got := mustParse(t, smallestForward+"destinations.deny = []\n").Settings.Services[0].Destinations
	if diff := cmp.Diff(proxy.Destinations{}, got, netipValues); diff != "" {
		t.Errorf("nothing: -want +got:\n%s", diff)
	}
	metadata := netip.MustParseAddr("169.254.169.254") // of clouds
	if !slices.ContainsFunc(notForInside, func(p netip.Prefix) bool { return p.Contains(metadata) }) {
		t.Errorf("%v is not denied by default", metadata)
	}
}

// TestKeysOfTheOtherMode: each is an error in the mode that has no use for it,
// even with its default, and even where its value is one that nothing could be.
func TestKeysOfTheOtherMode(t *testing.T) {
	for mode, file := range map[proxy.Mode]string{proxy.Reverse: smallest, proxy.Forward: smallestForward} {
		for _, k := range schema {
			if k.idle(mode) == "" {
				continue
			}
			name := strings.TrimPrefix(k.path, "service.")
			key := Problem{"service[0]." + name, 6, `does nothing with mode = "` + string(mode) + `": ` + k.idle(mode)}
			values := []string{"7"}
			if k.def != nil {
				values = append(values, inTOML(t, k.def))
			}
			for _, v := range values {
				if v == `""` {
					mustParse(t, file+name+" = \"\"\n") // is as if it were not there
					continue
				}
				wantProblems(t, file+name+" = "+v+"\n", key)
			}
		}
	}
	// Two of them in full: what is so instead, and what to do.
	wantProblems(t, smallestForward+"clients = []\n", Problem{"service[0].clients", 6,
		`does nothing with mode = "forward": intercept.from is the list of who may use the service; leave it out`})
	wantProblems(t, smallest+"intercept = { ports = [21],\nfrom = [\"10.0.0.0/8\"] }\n",
		Problem{"service[0].intercept.ports", 6, `does nothing with mode = "reverse": clients dial listen, and nothing is redirected; leave it out, or write mode = "forward"`},
		Problem{"service[0].intercept.from", 7, `does nothing with mode = "reverse": clients dial listen, and nothing is redirected; leave it out, or write mode = "forward"`})
}

// TestModeThatIsNone: who cannot know the mode does not say what it lacks.
func TestModeThatIsNone(t *testing.T) {
	bad := Problem{"service[0].mode", 3, `"foward" is not one of the values: write "reverse" or "forward"`}
	file := strings.Replace(smallestForward, `"forward"`, `"foward"`, 1)
	wantProblems(t, file, bad)
	wantProblems(t, strings.Replace(file, "intercept.from = [\"10.0.0.0/8\"]\n", "", 1), bad)
	wantProblems(t, strings.Replace(file, "name   = \"files\"\n", "\n", 1), Problem{"service[0].name", 1, needsName}, bad)
}

// TestBadForwardKeys adds one bad line to the smallest forward file, as its line 6.
func TestBadForwardKeys(t *testing.T) {
	tests := []struct{ line, key, text string }{
		{`intercept.except = ["all"]`, "intercept.except[0]", `"all" is not a range of addresses: write e.g. "10.0.0.0/8", "2001:db8::/32" or one address`},
		{`intercept.interfaces = "eth1"`, "intercept.interfaces", `"eth1" is not a list: write ["eth1"]`},
		{`intercept.interfaces = ["eth1", "eth*"]`, "intercept.interfaces[1]", `"eth*" is not the name of an interface: write it in full, as "ip link" shows it`},
		{`intercept.interfaces = ["an-interface-of16"]`, "intercept.interfaces[0]", `"an-interface-of16" is not the name of an interface: write it in full, as "ip link" shows it`},
		{`intercept.interfaces = [""]`, "intercept.interfaces[0]", `"" is not the name of an interface: write it in full, as "ip link" shows it`},
		{`intercept.interfaces = ["eth1", "eth2", "eth1"]`, "intercept.interfaces[2]", `"eth1" is in the list twice: write it once`},
		{`intercept.ports = []`, "intercept.ports", `empty: nothing would be redirected; write [21]`},
		{`intercept.ports = ["21"]`, "intercept.ports[0]", `"21" is not a whole number: write one, without quotes`},
		{`intercept.ports = [0]`, "intercept.ports[0]", `0 is not a port: write 1 to 65535`},
		{`intercept.ports = [21, 65536]`, "intercept.ports[1]", `65536 is not a port: write 1 to 65535`},
		{`intercept.ports = [2121, 21, 21]`, "intercept.ports[2]", `21 is in the list twice: write it once`},
		{`intercept.to = "10.0.0.1"`, "intercept.to", `unknown key: [service.intercept] has from, except, interfaces, ports`},

		{`destinations.deny = ["internal"]`, "destinations.deny[0]", `"internal" is neither a word for destinations nor a range of addresses: write "private", "loopback", "link-local", "self", or e.g. "203.0.113.0/24"`},
		{`destinations.deny = ["10.0.0.1/8"]`, "destinations.deny[0]", `"10.0.0.1/8" has bits below its length: write "10.0.0.0/8", or "10.0.0.1" for one address`},
		{`destinations.deny = [10]`, "destinations.deny[0]", `10 is not text: write it in quotes, "10"`},
		{`destinations.allow = ["198.51.100.0/24", "10.1.0.0/16"]`, "destinations.allow[1]", `"10.1.0.0/16" lies inside "10.0.0.0/8" ("private") of deny, and deny goes first: leave it out, or write a destinations.deny without that`},
		{`destinations.allow = ["loopback"]`, "destinations.allow[0]", `"127.0.0.0/8" lies inside "127.0.0.0/8" ("loopback") of deny, and deny goes first: leave it out, or write a destinations.deny without that`},
		{`destinations = { allow = ["198.51.100.7"], deny = ["198.51.100.0/24"] }`, "destinations.allow[0]", `"198.51.100.7/32" lies inside "198.51.100.0/24" of deny, and deny goes first: leave it out, or write a destinations.deny without that`},
		{`destinations = { allow = ["self"], deny = [] }`, "destinations.allow[0]", `"self" allows nothing: leave it out of deny, and write the address that is meant`},

		{`explicit = "yes"`, "explicit", `"yes" is neither true nor false: write one of them, without quotes`},
		{`data = "relay"`, "data", `"relay" cannot be with mode = "forward": the kernel carries all data; write "auto"`},
		{`tls.mode = "terminate"`, "tls.mode", `"terminate" cannot be with mode = "forward": nobody has a certificate for every server that clients dial; write "pass" or "refuse"`},
		{`tls.mode = ""`, "tls.mode", `"" is not one of the values: write "refuse", "pass" or "terminate"`},
		{`tls.certificate = "/c.pem"`, "tls.certificate", `does nothing with mode = "forward": the TLS of clients ends at the server; leave it out`},
		{`source_address = "2001:db8::1"`, "source_address", `"2001:db8::1" can dial no server for clients of listen: write an address of their family`},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			wantProblems(t, smallestForward+tt.line+"\n", Problem{"service[0]." + tt.key, 6, tt.text})
		})
	}
}

// TestWhoIsRedirected has other listeners, as line 4, and clients, as line 5.
func TestWhoIsRedirected(t *testing.T) {
	tests := []struct {
		name, listen, from string
		want               []Problem
	}{
		{"both families", `"0.0.0.0:2121", "[::]:2121"`, `"10.0.0.0/8", "10.1.0.0/16", "fd00::/8"`, nil},
		{"nobody", `"0.0.0.0:2121"`, ``, []Problem{
			{"service[0].intercept.from", 5, `empty: write the clients to redirect, e.g. intercept.from = ["10.0.0.0/8"]; it is the list of who may use the service`},
		}},
		{"everybody", `"0.0.0.0:2121", "[::]:2121"`, `"0.0.0.0/0", "::/0"`, []Problem{
			{"service[0].intercept.from[0]", 5, `"0.0.0.0/0" is everybody, which makes an open proxy: write the clients inside`},
			{"service[0].intercept.from[1]", 5, `"::/0" is everybody, which makes an open proxy: write the clients inside`},
		}},
		{"clients without a listener", `"0.0.0.0:2121"`, `"10.0.0.0/8", "fd00::/8"`, []Problem{
			{"service[0].intercept.from[1]", 5, `"fd00::/8" has no v6 listener to be redirected to: add one to listen, e.g. "[::]:2121", or leave it out`},
		}},
		{"a listener without clients", `"0.0.0.0:2121", "[::]:2121"`, `"10.0.0.0/8"`, []Problem{
			{"service[0].listen[1]", 4, `"[::]:2121" has no clients: add some of v6 to intercept.from, or leave it out`},
		}},
		{"loopback", `"127.0.0.1:2121", "[::1]:2121"`, `"10.0.0.0/8", "fd00::/8"`, []Problem{
			{"service[0].listen[0]", 4, `"127.0.0.1:2121" is on loopback, where nothing can be redirected to: write an address of the inside, or all of them, "0.0.0.0:2121"`},
			{"service[0].listen[1]", 4, `"[::1]:2121" is on loopback, where nothing can be redirected to: write an address of the inside, or all of them, "[::]:2121"`},
		}},
		{"two listeners of a family", `"10.0.0.1:2121", "10.1.0.1:2121"`, `"10.0.0.0/8"`, []Problem{
			{"service[0].listen[1]", 4, `"10.1.0.1:2121" is one more v4 listener: connections are redirected to one; write one, or all addresses, "0.0.0.0:2121"`},
		}},
		{"a bad listener breaks no rule a second time", `"0.0.0.0"`, `"10.0.0.0/8", "fd00::/8"`, []Problem{
			{"service[0].listen[0]", 4, `"0.0.0.0" has no port: write "0.0.0.0:21"`},
		}},
		{"bad clients break no rule a second time", `"[::]:2121"`, `"fd00::1/8"`, []Problem{
			{"service[0].intercept.from[0]", 5, `"fd00::1/8" has bits below its length: write "fd00::/8", or "fd00::1" for one address`},
		}},
		{"a listener among active_ports", `"0.0.0.0:20000"`, `"10.0.0.0/8"`, []Problem{
			{"service[0].listen[0]", 4, `port 20000 lies inside active_ports, "20000-59999": move one of them`},
		}},
		{"ports are not for forward", `"0.0.0.0:61000"`, `"10.0.0.0/8"`, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := strings.Replace(smallestForward, `"0.0.0.0:2121"`, tt.listen, 1)
			wantProblems(t, strings.Replace(file, `"10.0.0.0/8"`, tt.from, 1), tt.want...)
		})
	}
	wantProblems(t, strings.Replace(smallestForward, "intercept.from = [\"10.0.0.0/8\"]\n", "", 1), Problem{"service[0].intercept.from", 1, needsFrom})
	wantProblems(t, strings.Replace(smallestForward, "from = [\"10.0.0.0/8\"]", "ports = [21]", 1), Problem{"service[0].intercept.from", 5, needsFrom})
}

// TestTwoThatRedirect has the clients of a second service on line 9.
func TestTwoThatRedirect(t *testing.T) {
	const ours = "have either leave the clients of the other alone (intercept.except)"
	tests := []struct{ name, first, from, second, want string }{
		{"other clients", "", "192.168.0.0/16", "", ""},
		{"the same clients", "", "10.0.0.0/8", "", `"10.0.0.0/8" overlaps service[0].intercept.from[0], "10.0.0.0/8", on port 21: ` + ours},
		{"some of them", "", "10.1.0.0/16", "", `"10.1.0.0/16" overlaps service[0].intercept.from[0], "10.0.0.0/8", on port 21: ` + ours},
		{"whom the first leaves alone", `intercept.except = ["10.0.0.0/15"]`, "10.1.0.0/16", "", ""},
		{"whom the second leaves alone", "", "10.0.0.0/7", `intercept.except = ["10.0.0.0/8"]`, ""},
		{"of whom the first leaves one alone", `intercept.except = ["10.1.0.1"]`, "10.1.0.0/16", "", `"10.1.0.0/16" overlaps service[0].intercept.from[0], "10.0.0.0/8", on port 21: ` + ours},
		{"on other ports", "intercept.ports = [21, 2121]", "10.0.0.0/8", "intercept.ports = [8021]", ""},
		{"on one port of two", "intercept.ports = [21, 2121]", "10.0.0.0/8", "intercept.ports = [990, 2121]", `"10.0.0.0/8" overlaps service[0].intercept.from[0], "10.0.0.0/8", on port 2121: ` + ours},
		{"from other interfaces", `intercept.interfaces = ["a"]`, "10.0.0.0/8", `intercept.interfaces = ["b", "c"]`, ""},
		{"from one interface of two", `intercept.interfaces = ["a", "b"]`, "10.0.0.0/8", `intercept.interfaces = ["c", "a"]`, `"10.0.0.0/8" overlaps service[0].intercept.from[0], "10.0.0.0/8", on port 21: ` + ours},
		{"from one interface and any", `intercept.interfaces = ["a"]`, "10.0.0.0/8", "", `"10.0.0.0/8" overlaps service[0].intercept.from[0], "10.0.0.0/8", on port 21: ` + ours},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []Problem
			if tt.want != "" {
				want = []Problem{{"service[1].intercept.from[0]", 9, tt.want}}
			}
			wantProblems(t, smallestForward+tt.first+"\n[[service]]\nmode = \"forward\"\nintercept.from = [\""+tt.from+"\"]\n"+
				tt.second+"\nname = \"b\"\nlisten = [\"0.0.0.0:2122\"]\n", want...)
		})
	}
}

// inTOML is a value as a file has it.
func inTOML(t *testing.T, v any) string {
	t.Helper()
	text, err := toml.Marshal(map[string]any{"v": v})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(string(text), "v = "))
}
