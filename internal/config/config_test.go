package config

import (
	"crypto/tls"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpgate/proxy"
)

// smallest is the smallest useful file.
const smallest = `[[service]]
name     = "files"
listen   = ["198.51.100.1:21"]
backends = ["10.0.0.5:21"]
tls.mode = "refuse"
`

// tlsDefaults are those of a service that refuses TLS.
var tlsDefaults = proxy.TLS{MinVersion: tls.VersionTLS12, RequireResumption: true, PassFlows: 4}

var netipValues = cmp.Options{
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

func mustParse(t *testing.T, text string) *File {
	t.Helper()
	f, problems := Parse([]byte(text))
	for _, p := range problems {
		t.Error(p.In("test.toml"))
	}
	if f == nil {
		t.FailNow()
	}
	return f
}

func TestSmallestFileHasTheDefaults(t *testing.T) {
	limits := proxy.Limits{SessionsPerClient: 100, NewPerClient: proxy.Rate{Count: 600, Per: time.Minute}}
	want := &File{Settings: proxy.Settings{
		Limits: limits,
		Services: []proxy.Service{{
			Name:        "files",
			Mode:        proxy.Reverse,
			Listen:      []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:21")},
			Backends:    []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:21")},
			Ports:       proxy.PortRange{First: 61000, Last: 64999},
			ActivePorts: proxy.PortRange{First: 20000, Last: 59999},
			Passive:     true,
			Active:      true,
			Data:        proxy.DataAuto,
			TLS:         tlsDefaults,
			BackendTLS:  proxy.BackendTLS{Mode: proxy.BackendClear, MinVersion: tls.VersionTLS12},
			Timeouts: proxy.Timeouts{
				Connect:       10 * time.Second,
				Greeting:      30 * time.Second,
				Login:         time.Minute,
				Idle:          15 * time.Minute,
				Pinhole:       time.Minute,
				TransferStart: 10 * time.Minute,
				Stalled:       5 * time.Minute,
				Drain:         5 * time.Minute,
			},
			Limits: limits,
		}},
	}}
	want.Log.Level, want.Log.Format = slog.LevelInfo, "text"
	want.Metrics.Listen = netip.MustParseAddrPort("127.0.0.1:9421")
	want.Admin.Socket = "/run/ftpgate/admin.sock"
	want.NFT.Table, want.NFT.Mark, want.NFT.Owner = "ftpgate", 0x400, true
	want.NFT.RouteMark, want.NFT.RouteTable = 0x800, 21421

	if diff := cmp.Diff(want, mustParse(t, smallest), netipValues); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestEveryValueIsStored(t *testing.T) {
	got := mustParse(t, `
log = { level = "debug", format = "json" }
metrics = { listen = "192.0.2.9:9421", web_config = "/etc/ftpgate/metrics.yml" }
admin = { socket = "", listen = "[2001:db8::9]:9443", web_config = "/etc/ftpgate/admin.yml" }
audit = { json = "/var/log/a.json", xferlog = "/var/log/xferlog", on_error = "refuse" }
[nft]
table = "gate-2"
mark = 0x8000_0000
owner = "off"
accept_in = ["inet filter input", "ip  filter  DOCKER-USER", "ip6 filter FORWARD"]
route_mark = "0x1"
route_table = 1073741824
[limits]
sessions = 5000
sessions_per_client = 0
new_per_client = ""
exempt = ["192.0.2.0/24", "2001:db8::1"]

[[service]]
name = "a"
mode = "reverse"
listen = ["0.0.0.0:21", "[::]:21"]
backends = ["10.0.0.5:21", "[fd00:10::5]:2121"]
clients = ["203.0.113.7"]
deny_clients = ["0.0.0.0/0", "::/0"]
advertise = "192.0.2.1"
advertise_to = [
  { clients = "10.1.0.0/16", address = "10.1.0.1" },
  { address = "10.0.0.1", clients = "10.0.0.0/8" },
]
ports = "40000-40000"
active_ports = "1024-2000"
modes = ["active"]
active_address = "peer"
source_address = "fd00:10::1"
strict = true
data = "kernel"
data_peer = "/24,/64"
source = "gateway"
default_data_port = false
explicit = false
cut = true
tls = { mode = "refuse" }
backend_tls.mode = "clear"
limits.new_per_client = "1/s"
limits.exempt = []
[service.timeouts]
connect = "1s"
greeting = "2s"
login = "3s"
idle = "4h"
pinhole = "1500ms"
transfer_start = "1500ms"
drain = "1h30m"
stalled = "90s"

[[service]]
name = "b"
listen = ["198.51.100.1:2121"]
backends = ["10.0.0.5:21"]
modes = ["passive"]
tls.mode = "refuse"
limits = { sessions = 10, sessions_per_client = 2, new_per_client = "7/h", exempt = ["10.0.0.0/8"] }
`)
	base := mustParse(t, smallest)
	exempt := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8::1/128")}
	want := &File{Settings: proxy.Settings{Limits: proxy.Limits{Sessions: 5000, Exempt: exempt}}}
	want.Log.Level, want.Log.Format = slog.LevelDebug, "json"
	want.NFT.Table, want.NFT.Mark = "gate-2", 1<<31
	want.NFT.AcceptIn = []string{"inet filter input", "ip filter DOCKER-USER", "ip6 filter FORWARD"}
	want.NFT.RouteMark, want.NFT.RouteTable = 1, 1<<30
	want.Metrics.Listen, want.Metrics.WebConfig = netip.MustParseAddrPort("192.0.2.9:9421"), "/etc/ftpgate/metrics.yml"
	want.Admin.Listen, want.Admin.WebConfig = netip.MustParseAddrPort("[2001:db8::9]:9443"), "/etc/ftpgate/admin.yml"
	want.Audit.JSON, want.Audit.Xferlog, want.Audit.Refuse = "/var/log/a.json", "/var/log/xferlog", true

	a := proxy.Service{
		Name:        "a",
		Mode:        proxy.Reverse,
		Listen:      []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:21"), netip.MustParseAddrPort("[::]:21")},
		Backends:    []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:21"), netip.MustParseAddrPort("[fd00:10::5]:2121")},
		Clients:     []netip.Prefix{netip.MustParsePrefix("203.0.113.7/32")},
		DenyClients: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		Advertise:   netip.MustParseAddr("192.0.2.1"),
		AdvertiseTo: []proxy.AdvertiseTo{
			{Clients: netip.MustParsePrefix("10.1.0.0/16"), Address: netip.MustParseAddr("10.1.0.1")},
			{Clients: netip.MustParsePrefix("10.0.0.0/8"), Address: netip.MustParseAddr("10.0.0.1")},
		},
		PeerBits:          proxy.PeerBits{V4: 24, V6: 64},
		Ports:             proxy.PortRange{First: 40000, Last: 40000},
		ActivePorts:       proxy.PortRange{First: 1024, Last: 2000},
		Active:            true,
		ActiveAddressPeer: true,
		Data:              proxy.DataKernel,
		TLS:               tlsDefaults,
		BackendTLS:        proxy.BackendTLS{Mode: proxy.BackendClear, MinVersion: tls.VersionTLS12},
		SourceAddress:     netip.MustParseAddr("fd00:10::1"),
		Strict:            true,
		Cut:               true,
		OnlyAudited:       true,
		Timeouts: proxy.Timeouts{
			Connect: time.Second, Greeting: 2 * time.Second, Login: 3 * time.Second, Idle: 4 * time.Hour,
			Pinhole: 1500 * time.Millisecond, TransferStart: 1500 * time.Millisecond, Drain: 90 * time.Minute,
			Stalled: 90 * time.Second,
		},
		Limits: proxy.Limits{Sessions: 5000, NewPerClient: proxy.Rate{Count: 1, Per: time.Second}},
	}
	b := base.Settings.Services[0]
	b.Name = "b"
	b.Listen = []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:2121")}
	b.Active = false
	b.OnlyAudited = true
	b.Limits = proxy.Limits{
		Sessions: 10, SessionsPerClient: 2, NewPerClient: proxy.Rate{Count: 7, Per: time.Hour},
		Exempt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	}
	want.Settings.Services = []proxy.Service{a, b}
	if diff := cmp.Diff(want, got, netipValues); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestProblemsReadLikeACompilers(t *testing.T) {
	tests := []struct {
		problem Problem
		want    string
	}{
		{Problem{Key: "service[0].ports", Line: 12, Text: `"6100-64x" is not a range`}, `ftpgate.toml:12: service[0].ports: "6100-64x" is not a range`},
		{Problem{Key: "service", Text: "missing"}, "ftpgate.toml: service: missing"},
		{Problem{Line: 3, Text: "column 5: not TOML: x"}, "ftpgate.toml:3: column 5: not TOML: x"},
	}
	for _, tt := range tests {
		if got := tt.problem.In("ftpgate.toml"); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}
