package config

import (
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy"
)

// key is one key of the contract.
type key struct {
	path      string // service.timeouts.idle
	def       any    // what it is when it is not written; nil: inherited, or must be written
	set       func(place, value)
	missing   string // it must be written: what to write
	impliedBy string // another key; given that one, def will do instead
	later     string // it is not available in this version: what happens today
}

const (
	serviceTable = "service"
	unavailable  = "not available in this version"

	needsName     = `missing: write a name for logs and metrics, e.g. name = "files"`
	needsListen   = `missing: write the addresses that clients dial, e.g. listen = ["198.51.100.1:21"]`
	needsBackends = `missing: write the addresses of the FTP server, e.g. backends = ["10.0.0.5:21"]`
	needsTLSMode  = `must be said: write tls.mode = "terminate" with a tls.certificate, "pass", or "refuse", with which clients that would use TLS log in in clear text`
)

// nothing is the default of a list.
var nothing = []any{}

// schema is the contract of names, in the order of the reference file. A path
// with later and without further keys below it stands for its whole table.
var schema = []key{
	{path: "log.level", def: "info", set: one(level, func(p place) *slog.Level { return &p.file.Log.Level })},
	{path: "log.format", def: "text", set: one(oneOf("text", "json"), func(p place) *string { return &p.file.Log.Format })},

	{path: "metrics.listen", def: "127.0.0.1:9421", set: one(optional(addrPort), func(p place) *netip.AddrPort { return &p.file.Metrics.Listen })},
	{path: "metrics.web_config", later: "the metrics listener speaks plain HTTP and asks for no password"},

	{path: "admin.socket", def: "/run/ftpgate/admin.sock", set: one(optional(socket), func(p place) *string { return &p.file.Admin.Socket })},
	{path: "admin.listen", later: "there is no status page; admin.socket serves the command line"},
	{path: "admin.web_config", later: "there is no status page; admin.socket serves the command line"},

	{path: "nft.table", def: "ftpgate", set: one(tableName, func(p place) *string { return &p.file.NFT.Table })},
	{path: "nft.mark", def: "0x00000400", set: one(mark, func(p place) *uint32 { return &p.file.NFT.Mark })},
	{path: "nft.owner", def: "auto", set: one(owner, func(p place) *bool { return &p.file.NFT.Owner })},
	{path: "nft.accept_in", later: "accept the mark by a rule of your own in your firewall's chains"},
	{path: "nft.route_mark", later: "there are no transparent sources, and nothing is routed by mark"},
	{path: "nft.route_table", later: "there are no transparent sources, and nothing is routed by mark"},

	{path: "audit", later: "the log has a line for each session and each failed transfer"},

	{path: "limits.sessions", def: int64(0), set: one(count, func(p place) *int { return &p.file.Settings.Limits.Sessions })},
	{path: "limits.sessions_per_client", def: int64(100), set: one(count, func(p place) *int { return &p.file.Settings.Limits.SessionsPerClient })},
	{path: "limits.new_per_client", def: "600/m", set: one(optional(rate), func(p place) *proxy.Rate { return &p.file.Settings.Limits.NewPerClient })},
	{path: "limits.exempt", def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.file.Settings.Limits.Exempt })},

	{path: "service.name", missing: needsName, set: one(label, func(p place) *string { return &p.service.Name })},
	{path: "service.mode", def: "reverse", set: one(mode, func(p place) *proxy.Mode { return &p.service.Mode })},
	{path: "service.listen", missing: needsListen, set: some(list(addrPort, func(p place) *[]netip.AddrPort { return &p.service.Listen }), needsListen)},
	{path: "service.backends", missing: needsBackends, set: some(list(backend, func(p place) *[]netip.AddrPort { return &p.service.Backends }), needsBackends)},
	{path: "service.tls.mode", missing: needsTLSMode, impliedBy: "service.tls.certificate", def: "terminate", set: ofTLS(tlsMode, func(t *proxy.TLS) *alg.TLS { return &t.Mode })},
	{path: "service.tls.certificate", def: "", set: ofTLS(optional(pemFile), func(t *proxy.TLS) *string { return &t.Certificate })},
	{path: "service.tls.key", def: "", set: ofTLS(optional(pemFile), func(t *proxy.TLS) *string { return &t.Key })},
	{path: "service.tls.require", def: false, set: ofTLS(boolean, func(t *proxy.TLS) *bool { return &t.Require })},
	{path: "service.tls.implicit", def: false, set: ofTLS(boolean, func(t *proxy.TLS) *bool { return &t.Implicit })},
	{path: "service.tls.min_version", def: "1.2", set: ofTLS(tlsVersion, func(t *proxy.TLS) *uint16 { return &t.MinVersion })},
	{path: "service.tls.client_ca", def: "", set: ofTLS(optional(pemFile), func(t *proxy.TLS) *string { return &t.ClientCA })},
	{path: "service.tls.require_resumption", def: true, set: ofTLS(boolean, func(t *proxy.TLS) *bool { return &t.RequireResumption })},
	{path: "service.tls.pass_ports", def: "", set: setPassPorts},
	{path: "service.tls.pass_flows", def: int64(4), set: ofTLS(passFlows, func(t *proxy.TLS) *int { return &t.PassFlows })},

	{path: "service.clients", def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.Clients })},
	{path: "service.deny_clients", def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.DenyClients })},
	{path: "service.advertise", def: "", set: one(optional(advertise), func(p place) *netip.Addr { return &p.service.Advertise })},
	{path: "service.ports", def: "61000-64999", set: one(ports, func(p place) *proxy.PortRange { return &p.service.Ports })},
	{path: "service.active_ports", def: "20000-59999", set: one(ports, func(p place) *proxy.PortRange { return &p.service.ActivePorts })},
	{path: "service.modes", def: []any{"passive", "active"}, set: setModes},
	{path: "service.active_address", def: "reject", set: one(activeAddress, func(p place) *bool { return &p.service.ActiveAddressPeer })},
	{path: "service.source_address", def: "", set: one(optional(address), func(p place) *netip.Addr { return &p.service.SourceAddress })},
	{path: "service.data", def: "auto", set: one(dataPath, func(p place) *proxy.DataPath { return &p.service.Data })},
	{path: "service.strict", def: false, set: one(boolean, func(p place) *bool { return &p.service.Strict })},

	// Keys of which one value, or two, say what happens in this version.
	{path: "service.data_peer", def: "exact", set: one(dataPeer, nil)},
	{path: "service.source", def: "gateway", set: one(source, nil)},
	{path: "service.default_data_port", def: false, set: one(off("RETR without PORT or PASV fails"), nil)},
	{path: "service.explicit", def: false, set: one(off("USER goes to the backend as it is"), nil)},
	{path: "service.cut", def: false, set: one(off("a running transfer outlives its session"), nil)},

	{path: "service.timeouts.connect", def: "10s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Connect })},
	{path: "service.timeouts.greeting", def: "30s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Greeting })},
	{path: "service.timeouts.login", def: "60s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Login })},
	{path: "service.timeouts.idle", def: "15m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Idle })},
	{path: "service.timeouts.pinhole", def: "60s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Pinhole })},
	{path: "service.timeouts.transfer_start", def: "10m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.TransferStart })},
	{path: "service.timeouts.drain", def: "5m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Drain })},
	{path: "service.timeouts.stalled", later: "a transfer that stands still is left to the kernel's own timeouts"},

	// Without a default: a service begins with the values of [limits].
	{path: "service.limits.sessions", set: one(count, func(p place) *int { return &p.service.Limits.Sessions })},
	{path: "service.limits.sessions_per_client", set: one(count, func(p place) *int { return &p.service.Limits.SessionsPerClient })},
	{path: "service.limits.new_per_client", set: one(optional(rate), func(p place) *proxy.Rate { return &p.service.Limits.NewPerClient })},
	{path: "service.limits.exempt", set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.Limits.Exempt })},

	{path: "service.backend_tls.mode", def: "clear", set: ofBackend(backendTLSMode, func(t *proxy.BackendTLS) *proxy.BackendTLSMode { return &t.Mode })},
	{path: "service.backend_tls.ca", def: "", set: ofBackend(optional(pemFile), func(t *proxy.BackendTLS) *string { return &t.CA })},
	{path: "service.backend_tls.server_name", def: "", set: ofBackend(optional(serverName), func(t *proxy.BackendTLS) *string { return &t.ServerName })},
	{path: "service.backend_tls.certificate", def: "", set: ofBackend(optional(pemFile), func(t *proxy.BackendTLS) *string { return &t.Certificate })},
	{path: "service.backend_tls.key", def: "", set: ofBackend(optional(pemFile), func(t *proxy.BackendTLS) *string { return &t.Key })},
	{path: "service.backend_tls.min_version", def: "1.2", set: ofBackend(tlsVersion, func(t *proxy.BackendTLS) *uint16 { return &t.MinVersion })},
	{path: "service.backend_tls.insecure_skip_verify", def: false, set: ofBackend(boolean, func(t *proxy.BackendTLS) *bool { return &t.InsecureSkipVerify })},

	{path: "service.advertise_to", later: "every client is told the same address, advertise"},
	{path: "service.intercept", later: "clients dial an address of listen"},
	{path: "service.destinations", later: "a service leads to its backends and nowhere else"},
	{path: "service.proxy_protocol", later: "PROXY headers are neither read nor sent"},
	{path: "service.commands", later: "no command of FTP is kept from the backend but those of TLS"},
	{path: "service.routes", later: "HOST does not choose the backend"},
}

// inService says whether a key belongs to [[service]] or to the daemon.
func inService(path string) bool { return strings.HasPrefix(path, serviceTable+".") }

func isKey(path string) bool {
	return slices.ContainsFunc(schema, func(k key) bool { return k.path == path })
}

func isTable(path string) bool {
	return slices.ContainsFunc(schema, func(k key) bool { return strings.HasPrefix(k.path, path+".") })
}
