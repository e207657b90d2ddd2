package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadKeys adds one bad line to the smallest file, as its line 6.
func TestBadKeys(t *testing.T) {
	tests := []struct{ line, key, text string }{
		{`name = "x"`, "", `column 1: not TOML: Key 'service.name' has already been defined.`},
		{`ports = "6100-64x"`, "service[0].ports", `"6100-64x" is not a range: write FIRST-LAST, e.g. "61000-64999"`},
		{`ports = "61000"`, "service[0].ports", `"61000" is not a range: write FIRST-LAST, e.g. "61000-64999"`},
		{`ports = "61000-70000"`, "service[0].ports", `"61000-70000" is not a range: write FIRST-LAST, e.g. "61000-64999"`},
		{`ports = "1023-2000"`, "service[0].ports", `"1023-2000" begins below 1024: servers and clients refuse such ports; write 1024 or more`},
		{`active_ports = "3000-2000"`, "service[0].active_ports", `"3000-2000" ends before it begins: write "2000-3000"`},
		{`ports = 61000`, "service[0].ports", `61000 is not text: write it in quotes, "61000"`},
		{`ports = ["61000-64999"]`, "service[0].ports", `a list is not text: write one text in quotes`},
		{`advertise = "gw\u0007"`, "service[0].advertise", `"gw\a" has control characters: write it without`},

		{`clients = "10.0.0.0/8"`, "service[0].clients", `"10.0.0.0/8" is not a list: write ["10.0.0.0/8"]`},
		{`clients = 7`, "service[0].clients", `7 is not a list: write it in brackets`},
		{`clients = ["all"]`, "service[0].clients[0]", `"all" is not a range of addresses: write e.g. "10.0.0.0/8", "2001:db8::/32" or one address`},
		{`deny_clients = ["10.0.0.7/8"]`, "service[0].deny_clients[0]", `"10.0.0.7/8" has bits below its length: write "10.0.0.0/8", or "10.0.0.7" for one address`},
		{`deny_clients = ["::ffff:10.0.0.1"]`, "service[0].deny_clients[0]", `"::ffff:10.0.0.1" is IPv4 in IPv6's clothes: write "10.0.0.1"`},
		{`clients = ["fe80::1%eth0"]`, "service[0].clients[0]", `"fe80::1%eth0" has a zone: write an address that is not link-local`},
		{`clients = [{}]`, "service[0].clients[0]", `a table is not text: write one text in quotes`},

		{`advertise = "2001:db8::1"`, "service[0].advertise", `"2001:db8::1" is IPv6: 227 can only name an IPv4 address, and 229 names none; write IPv4`},
		{`advertise = "192.0.2.256"`, "service[0].advertise", `"192.0.2.256" is neither an address nor the name of a host: write e.g. "192.0.2.1" or "ftp.example.com"`},
		{`advertise = "0.0.0.0"`, "service[0].advertise", `"0.0.0.0" means any address: write one, or "" to leave it to the gateway`},
		{`advertise = "224.0.0.1"`, "service[0].advertise", `"224.0.0.1" is the address of a group: write the address of one host`},
		{`source_address = "fd00:10::1"`, "service[0].source_address", `"fd00:10::1" can dial none of backends: write an address of their family`},

		{`mode = "proxy"`, "service[0].mode", `"proxy" is not one of the values: write "reverse" or "forward"`},
		{`data = "user"`, "service[0].data", `"user" is not one of the values: write "auto", "kernel" or "relay"`},
		{`source = "server"`, "service[0].source", `"server" is not one of the values: write "gateway" or "client"`},
		{`explicit = true`, "service[0].explicit", `true does nothing with mode = "reverse": a service leads to its backends and nowhere else; leave it out, or write mode = "forward"`},
		{`default_data_port = true`, "service[0].default_data_port", `true is not available in this version: RETR without PORT or PASV fails; write false`},
		{`strict = "yes"`, "service[0].strict", `"yes" is neither true nor false: write one of them, without quotes`},
		{`cut = 1`, "service[0].cut", `1 is neither true nor false: write one of them, without quotes`},
		{`active_address = "any"`, "service[0].active_address", `"any" is not one of the values: write "reject" or "peer"`},
		{`modes = []`, "service[0].modes", `empty: no transfer could ever run; write ["passive", "active"], or one of the two`},
		{`modes = ["passive", "port"]`, "service[0].modes[1]", `"port" is not one of the values: write "passive" or "active"`},
		{`modes = ["active", "active"]`, "service[0].modes[1]", `"active" is in the list twice: write it once`},

		{`timeouts = 3`, "service[0].timeouts", `3 is not a table: write [service.timeouts] and its keys below it`},
		{`timeouts.idle = 900`, "service[0].timeouts.idle", `900 is not a duration: write it with its unit in quotes, e.g. "30s" or "15m"`},
		{`timeouts.idle = "15 min"`, "service[0].timeouts.idle", `"15 min" is not a duration: write a number with its unit, e.g. "30s" or "15m"`},
		{`timeouts.idle = "0s"`, "service[0].timeouts.idle", `"0s" is too short: write at least "100ms"`},
		{`timeouts.idle = "-1m"`, "service[0].timeouts.idle", `"-1m" is too short: write at least "100ms"`},
		{`timeouts.stalled = "0s"`, "service[0].timeouts.stalled", `"0s" is too short: write at least "100ms"`},
		{`timeouts.transfer_start = "30s"`, "service[0].timeouts.transfer_start", `"30s" is shorter than pinhole, "1m0s": write at least that`},
		{`timeouts.pinhole = "11m"`, "service[0].timeouts.transfer_start", `"10m0s" is shorter than pinhole, "11m0s": write at least that`},

		{`limits.sessions = -1`, "service[0].limits.sessions", `-1 is not from 0 to 1073741824`},
		{`limits.sessions = 1.5`, "service[0].limits.sessions", `1.5 is not a whole number: write one, without quotes`},
		{`limits.sessions_per_client = "9"`, "service[0].limits.sessions_per_client", `"9" is not a whole number: write one, without quotes`},
		{`limits.new_per_client = "600"`, "service[0].limits.new_per_client", `"600" is not a rate: write COUNT/s, COUNT/m or COUNT/h, e.g. "600/m", or "" for no limit`},
		{`limits.new_per_client = "0/m"`, "service[0].limits.new_per_client", `"0/m" is not a rate: write COUNT/s, COUNT/m or COUNT/h, e.g. "600/m", or "" for no limit`},
		{`limits.exempt = ["x"]`, "service[0].limits.exempt[0]", `"x" is not a range of addresses: write e.g. "10.0.0.0/8", "2001:db8::/32" or one address`},

		{`intercept = ["10.0.0.0/8"]`, "service[0].intercept", `a list is not a table: write [service.intercept] and its keys below it`},
		{`routes.host."ftp.example.com" = ["10.0.0.6:21"]`, "service[0].routes", `not available in this version: HOST does not choose the backend`},
		{`[service.commands]`, "service[0].commands", `not available in this version: no command of FTP is kept from the backend but those of TLS`},

		{`prots = "61000-64999"`, "service[0].prots", `unknown key: did you mean ports?`},
		{`Ports = "61000-64999"`, "service[0].Ports", `unknown key: did you mean ports?`},
		{`timeout = { idle = "1m" }`, "service[0].timeout", `unknown key: did you mean [service.timeouts]?`},
		{`timeouts.conect = "1s"`, "service[0].timeouts.conect", `unknown key: did you mean connect?`},
		{`tls.ports = "61000-64999"`, "service[0].tls.ports", `unknown key: did you mean service.ports? A key belongs to the last [table] above it`},
		{`level = "debug"`, "service[0].level", `unknown key: did you mean log.level? A key belongs to the last [table] above it`},
		{`[metric]`, "metric", `unknown key: did you mean [metrics]?`},
		{`[services]`, "services", `unknown key: did you mean [[service]]?`},
		{`[database]`, "database", `unknown key: the file has log, metrics, admin, nft, audit, limits, service`},
		{`log.colour = 1`, "service[0].log", `unknown key: did you mean [log]? A key belongs to the last [table] above it`},
		{`"tls.mode" = "x"`, `service[0]."tls.mode"`, `unknown key: [[service]] has name, mode, listen, backends, tls, clients, deny_clients, intercept, destinations, explicit, advertise, advertise_to, ports, active_ports, modes, active_address, data_peer, source, source_address, data, strict, cut, default_data_port, timeouts, limits, backend_tls`},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			_, got := Parse([]byte(smallest + tt.line + "\n"))
			if diff := cmp.Diff([]Problem{{Key: tt.key, Line: 6, Text: tt.text}}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestBadDaemonKeys puts one bad line before the smallest file, as line 1.
func TestBadDaemonKeys(t *testing.T) {
	tests := []struct{ line, key, text string }{
		{`log = "info"`, "log", `"info" is not a table: write [log] and its keys below it`},
		{`log.level = "verbose"`, "log.level", `"verbose" is not one of the values: write "debug", "info", "warn" or "error"`},
		{`log.level = 1979-05-27`, "log.level", `a date is not text: write one text in quotes`},
		{`log.format = "xml"`, "log.format", `"xml" is not one of the values: write "text" or "json"`},
		{`metrics.listen = ":9421"`, "metrics.listen", `":9421" has no address: write "0.0.0.0:9421" for all of IPv4, "[::]:9421" for all of IPv6`},
		{`metrics.listen = "localhost:9421"`, "metrics.listen", `"localhost:9421" is a host name: write its address`},
		{`metrics.listen = "::1"`, "metrics.listen", `"::1" has no port: write "[::1]:21"`},
		{`metrics.listen = "127.0.0.1:0"`, "metrics.listen", `"127.0.0.1:0" has port 0: write the port that is meant`},
		{`metrics.listen = "127.0.0.1:99999"`, "metrics.listen", `"127.0.0.1:99999" is not ADDRESS:PORT: write e.g. "198.51.100.1:21" or "[2001:db8::1]:21"`},
		{`admin.socket = "admin.sock"`, "admin.socket", `"admin.sock" is not an absolute path: write e.g. "/run/ftpgate/admin.sock", or "" for no socket`},
		{`admin.socket = "/` + strings.Repeat("x", 107) + `"`, "admin.socket", `"/` + strings.Repeat("x", 79) + `…" is 108 bytes long: write a path of at most 107`},
		{`nft.table = "inet ftpgate"`, "nft.table", `"inet ftpgate" is not a name for a table: write a letter, then up to 62 letters, digits, _ and -`},
		{`nft.mark = "0x00000600"`, "nft.mark", `"0x00000600" is not one bit: write exactly one bit of 32, e.g. "0x00000400"`},
		{`nft.mark = 0`, "nft.mark", `0 is not one bit: write exactly one bit of 32, e.g. "0x00000400"`},
		{`nft.mark = 0x100000000`, "nft.mark", `4294967296 is not one bit: write exactly one bit of 32, e.g. "0x00000400"`},
		{`nft.mark = "bit 10"`, "nft.mark", `"bit 10" is not a mark: write exactly one bit of 32, e.g. "0x00000400"`},
		{`nft.owner = true`, "nft.owner", `true is not text: write it in quotes, "true"`},
		{`nft.owner = "on"`, "nft.owner", `"on" is not one of the values: write "auto" or "off"`},
		{`limits.sessions = 2000000000`, "limits.sessions", `2000000000 is not from 0 to 1073741824`},
		{`level = "info"`, "level", `unknown key: did you mean log.level? A key belongs to the last [table] above it`},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			_, got := Parse([]byte(tt.line + "\n" + smallest))
			if diff := cmp.Diff([]Problem{{Key: tt.key, Line: 1, Text: tt.text}}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBadFiles(t *testing.T) {
	tests := []struct {
		name, text string
		want       []Problem
	}{
		{"empty", "", []Problem{{"service", 0, `missing: write at least one [[service]] with name, listen, backends and tls.mode`}}},
		{"no service in the list", "service = []\n", []Problem{{"service", 1, `missing: write at least one [[service]] with name, listen, backends and tls.mode`}}},
		{"one pair of brackets", "\n[service]\nname = \"files\"\n", []Problem{{"service", 2, `there can be several services: write [[service]], in two pairs of brackets`}}},
		{"a service that is none", "service = [ 1 ]\n", []Problem{{"service[0]", 1, `1 is not a service: write a [[service]] table`}}},
		{"not TOML", "[log]\nlevel = \"info\"\nformat = text\n", []Problem{{"", 3, `column 10: not TOML: expected value but found "text" instead`}}},
		{"letters that no bare key has", "é = \"ä\n", []Problem{{"", 1, `column 1: not TOML: expected '.' or '=', but got 'é' instead`}}},
		{"a header left open", "[log\nlevel = \"info\"\n", []Problem{{"", 1, `column 5: not TOML: expected '.' or ']' to end table name, but got '\n' instead`}}},
		{"everything missing", "[log]\n\n[[service]]\n[service.tls]\n", []Problem{
			{"service[0].backends", 3, needsBackends},
			{"service[0].listen", 3, needsListen},
			{"service[0].name", 3, needsName},
			{"service[0].tls.mode", 4, `must be said: write tls.mode = "terminate" with a tls.certificate, "pass", or "refuse", with which clients that would use TLS log in in clear text`},
		}},
		{"empty lists", "[[service]]\nname = \"a\"\nlisten = []\nbackends = []\ntls.mode = \"no\"\n", []Problem{
			{"service[0].listen", 3, `empty: write the addresses that clients dial, or in forward mode are redirected to, e.g. listen = ["198.51.100.1:21"]`},
			{"service[0].backends", 4, `empty: write the addresses of the FTP server, e.g. backends = ["10.0.0.5:21"]`},
			{"service[0].tls.mode", 5, `"no" is not one of the values: write "refuse", "pass" or "terminate"`},
		}},
		{"names", "[[service]]\nname = \"über\"\nlisten = [\"192.0.2.1:21\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n" +
			smallest + strings.Replace(smallest, ":21", ":2121", 1), []Problem{
			{"service[0].name", 2, `"über" is not a name: write up to 63 letters, digits, _, - and dots, a letter or digit first`},
			{"service[2].name", 12, `"files" is the name of service[1] too: write another`},
		}},
		{"backends", `[[service]]
name = "a"
tls.mode = "refuse"
listen = ["198.51.100.1:21"]
backends = [
  "127.0.0.1:21", "ftp.example.com:21", # the first is good

  "0.0.0.0:21",   # any
  "10.0.0.5",
  "198.51.100.1:21",
  21,
  "239.0.0.1:21",
  "[::1]:21",
]
`, []Problem{
			{"service[0].backends[1]", 6, `"ftp.example.com:21" is a host name: not available in this version: backends are dialled by address; write it`},
			{"service[0].backends[2]", 8, `"0.0.0.0:21" means any address: write the server's own`},
			{"service[0].backends[3]", 9, `"10.0.0.5" has no port: write "10.0.0.5:21"`},
			{"service[0].backends[4]", 10, `"198.51.100.1:21" is where service[0] listens: the gateway would dial itself; write the server's address`},
			{"service[0].backends[5]", 11, `21 is not text: write it in quotes, "21"`},
			{"service[0].backends[6]", 12, `"239.0.0.1" is the address of a group: write the address of one host`},
		}},
		{"listeners", smallest + `[[service]]
name = "b"
tls.mode = "refuse"
backends = ["10.0.0.6:21"]
listen = [
  "198.51.100.2:21",
  "0.0.0.0:21",
  "[::]:21",
  "198.51.100.2:62000",
  "198.51.100.2:20000",
  "198.51.100.2:64999",
  "198.51.100.2:65000",
]
`, []Problem{
			{"service[1].listen[1]", 12, `"0.0.0.0:21" is taken by service[0].listen[0], "198.51.100.1:21": write an address and port of its own`},
			{"service[1].listen[3]", 14, `port 62000 lies inside ports, "61000-64999": move one of them`},
			{"service[1].listen[4]", 15, `port 20000 lies inside active_ports, "20000-59999": move one of them`},
			{"service[1].listen[5]", 16, `port 64999 lies inside ports, "61000-64999": move one of them`},
		}},
		{"a listener twice", "service = [{ name = \"a\", tls = { mode = \"refuse\" }, backends = [\"[fd00::5]:21\"], listen = [\n\"[::1]:21\",\n\"[::1]:21\"] }]\n", []Problem{
			{"service[0].listen[1]", 3, `"[::1]:21" is taken by service[0].listen[0], "[::1]:21": write an address and port of its own`},
		}},
		{"many mistakes at once", `[log]
level = "loud"
colour = true

[[service]]
name   = "files"
listen = "198.51.100.1:21"
backends = ["10.0.0.5:21"]
modes = [
  "passive",
  "extended",
]
[service.tls]
mode = "refuse"
ports = "1-2"
[service.timeouts]
idle = "never"

[[service]]
backends = ["10.0.0.5:21"]
tls = { mode = "starttls", certificate = "x.pem" }

[nft]
mark = 3
`, []Problem{
			{"log.level", 2, `"loud" is not one of the values: write "debug", "info", "warn" or "error"`},
			{"log.colour", 3, `unknown key: [log] has level, format`},
			{"service[0].listen", 7, `"198.51.100.1:21" is not a list: write ["198.51.100.1:21"]`},
			{"service[0].modes[1]", 11, `"extended" is not one of the values: write "passive" or "active"`},
			{"service[0].tls.ports", 15, `unknown key: did you mean service.ports? A key belongs to the last [table] above it`},
			{"service[0].timeouts.idle", 17, `"never" is not a duration: write a number with its unit, e.g. "30s" or "15m"`},
			{"service[1].listen", 19, needsListen},
			{"service[1].name", 19, needsName},
			{"service[1].tls.certificate", 21, `"x.pem" is not an absolute path: write e.g. "/etc/ftpgate/files.pem"`},
			{"service[1].tls.mode", 21, `"starttls" is not one of the values: write "refuse", "pass" or "terminate"`},
			{"nft.mark", 24, `3 is not one bit: write exactly one bit of 32, e.g. "0x00000400"`},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, got := Parse([]byte(tt.text))
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if f != nil {
				t.Error("a file with problems was returned")
			}
		})
	}
}

// TestLaterKeysAreErrors holds for every key that is not built: it is never ignored.
func TestLaterKeysAreErrors(t *testing.T) {
	for _, k := range schema {
		if k.later == "" {
			continue
		}
		file := k.path + " = 1\n" + smallest
		key, line := k.path, 1
		if rest, ok := strings.CutPrefix(k.path, "service."); ok {
			file, key, line = smallest+rest+" = 1\n", "service[0]."+rest, 6
		}
		_, got := Parse([]byte(file))
		want := []Problem{{Key: key, Line: line, Text: "not available in this version: " + k.later}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", k.path, diff)
		}
	}
}

func TestEdits(t *testing.T) {
	tests := []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "abc", 0}, {"", "ab", 2}, {"lsiten", "listen", 1}, {"port", "ports", 1}, {"kitten", "sitting", 3}}
	for _, tt := range tests {
		if got := edits(tt.a, tt.b); got != tt.want {
			t.Errorf("edits(%q, %q) = %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}
