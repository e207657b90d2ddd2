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
	forward   any    // def, and not missing, in forward mode
	noForward string // it does nothing in forward mode: what is so there
	noReverse string // the same in reverse mode
	later     string // it is not available in this version: what happens today
}

// idle says why a key does nothing in a mode; "": it does something.
func (k key) idle(m proxy.Mode) string {
	switch m {
	case proxy.Forward:
		return k.noForward
	case proxy.Reverse:
		return k.noReverse
	}
	return ""
}

// modal says whether one must know the mode to know if a key must be written.
func (k key) modal() bool { return k.noForward != "" || k.noReverse != "" || k.forward != nil }

const (
	serviceTable = "service"
	unavailable  = "not available in this version"

	needsName     = `missing: write a name for logs and metrics, e.g. name = "files"`
	needsListen   = `missing: write the addresses that clients dial, or in forward mode are redirected to, e.g. listen = ["198.51.100.1:21"]`
	needsBackends = `missing: write the addresses of the FTP server, e.g. backends = ["10.0.0.5:21"]`
	needsTLSMode  = `must be said: write tls.mode = "terminate" with a tls.certificate, "pass", or "refuse", with which clients that would use TLS log in in clear text`
	needsFrom     = `missing: write the clients to redirect, e.g. intercept.from = ["10.0.0.0/8"]; it is the list of who may use the service`
	needsPorts    = `: nothing would be redirected; write [21]`

	// What is so where a key does nothing, and what to do about it.
	anyServer   = "a service leads to whatever server its clients dial; leave it out"
	fromIsList  = "intercept.from is the list of who may use the service; leave it out"
	namesServer = "clients are told the server's own address; leave it out"
	dialsServer = "clients dial the server's own port, from the very address of their control connection; leave it out"
	serversTLS  = "the TLS of clients ends at the server; leave it out"
	asOtherNAT  = "passive data within TLS goes the way of the other traffic of clients; leave it out"
	onlyListen  = `clients dial listen, and nothing is redirected; leave it out, or write mode = "forward"`
	itsBackends = `a service leads to its backends and nowhere else; leave it out, or write mode = "forward"`
)

// nothing is the default of a list.
var nothing = []any{}

// schema is the contract of names, in the order of the reference file. A path
// with later and without further keys below it stands for its whole table.
var schema = []key{
	{path: "log.level", def: "info", set: one(level, func(p place) *slog.Level { return &p.file.Log.Level })},
	{path: "log.format", def: "text", set: one(oneOf("text", "json"), func(p place) *string { return &p.file.Log.Format })},

	{path: "metrics.listen", def: "127.0.0.1:9421", set: one(optional(addrPort), func(p place) *netip.AddrPort { return &p.file.Metrics.Listen })},
	{path: "metrics.web_config", def: "", set: one(optional(webConfig), func(p place) *string { return &p.file.Metrics.WebConfig })},

	{path: "admin.listen", def: "", set: one(optional(addrPort), func(p place) *netip.AddrPort { return &p.file.Admin.Listen })},
	{path: "admin.web_config", def: "", set: one(optional(webConfig), func(p place) *string { return &p.file.Admin.WebConfig })},
	{path: "admin.socket", def: "/run/ftpgate/admin.sock", set: one(optional(socket), func(p place) *string { return &p.file.Admin.Socket })},

	{path: "nft.table", def: "ftpgate", set: one(tableName, func(p place) *string { return &p.file.NFT.Table })},
	{path: "nft.mark", def: "0x00000400", set: one(mark, func(p place) *uint32 { return &p.file.NFT.Mark })},
	{path: "nft.owner", def: "auto", set: one(owner, func(p place) *bool { return &p.file.NFT.Owner })},
	{path: "nft.accept_in", def: nothing, set: distinct(chain, func(p place) *[]string { return &p.file.NFT.AcceptIn })},
	{path: "nft.route_mark", def: "0x00000800", set: one(mark, func(p place) *uint32 { return &p.file.NFT.RouteMark })},
	{path: "nft.route_table", def: int64(21421), set: one(routeTable, func(p place) *int { return &p.file.NFT.RouteTable })},

	{path: "audit.json", def: "", set: one(optional(auditFile("audit.json")), func(p place) *string { return &p.file.Audit.JSON })},
	{path: "audit.xferlog", def: "", set: one(optional(auditFile("xferlog")), func(p place) *string { return &p.file.Audit.Xferlog })},
	{path: "audit.on_error", def: "continue", set: one(onError, func(p place) *bool { return &p.file.Audit.Refuse })},

	{path: "limits.sessions", def: int64(0), set: one(count, func(p place) *int { return &p.file.Settings.Limits.Sessions })},
	{path: "limits.sessions_per_client", def: int64(100), set: one(count, func(p place) *int { return &p.file.Settings.Limits.SessionsPerClient })},
	{path: "limits.new_per_client", def: "600/m", set: one(optional(rate), func(p place) *proxy.Rate { return &p.file.Settings.Limits.NewPerClient })},
	{path: "limits.exempt", def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.file.Settings.Limits.Exempt })},

	{path: "service.name", missing: needsName, set: one(label, func(p place) *string { return &p.service.Name })},
	// Before the keys that only one mode has.
	{path: "service.mode", def: "reverse", set: one(mode, func(p place) *proxy.Mode { return &p.service.Mode })},
	{path: "service.listen", missing: needsListen, set: some(list(addrPort, func(p place) *[]netip.AddrPort { return &p.service.Listen }), needsListen)},
	{path: "service.backends", noForward: anyServer, missing: needsBackends, set: some(list(backend, func(p place) *[]netip.AddrPort { return &p.service.Backends }), needsBackends)},
	{path: "service.tls.mode", missing: needsTLSMode, impliedBy: "service.tls.certificate", def: "terminate", forward: "pass", set: ofTLS(tlsMode, func(t *proxy.TLS) *alg.TLS { return &t.Mode })},
	{path: "service.tls.certificate", noForward: serversTLS, def: "", set: ofTLS(optional(pemFile), func(t *proxy.TLS) *string { return &t.Certificate })},
	{path: "service.tls.key", noForward: serversTLS, def: "", set: ofTLS(optional(pemFile), func(t *proxy.TLS) *string { return &t.Key })},
	{path: "service.tls.require", noForward: serversTLS, def: false, set: ofTLS(boolean, func(t *proxy.TLS) *bool { return &t.Require })},
	{path: "service.tls.implicit", noForward: serversTLS, def: false, set: ofTLS(boolean, func(t *proxy.TLS) *bool { return &t.Implicit })},
	{path: "service.tls.min_version", noForward: serversTLS, def: "1.2", set: ofTLS(tlsVersion, func(t *proxy.TLS) *uint16 { return &t.MinVersion })},
	{path: "service.tls.client_ca", noForward: serversTLS, def: "", set: ofTLS(optional(pemFile), func(t *proxy.TLS) *string { return &t.ClientCA })},
	{path: "service.tls.require_resumption", noForward: serversTLS, def: true, set: ofTLS(boolean, func(t *proxy.TLS) *bool { return &t.RequireResumption })},
	{path: "service.tls.pass_ports", noForward: asOtherNAT, def: "", set: setPassPorts},
	{path: "service.tls.pass_flows", noForward: asOtherNAT, def: int64(4), set: ofTLS(passFlows, func(t *proxy.TLS) *int { return &t.PassFlows })},

	{path: "service.clients", noForward: fromIsList, def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.Clients })},
	{path: "service.deny_clients", def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.DenyClients })},
	{path: "service.intercept.from", noReverse: onlyListen, missing: needsFrom, set: some(list(redirected, func(p place) *[]netip.Prefix { return &p.service.Intercept.From }), needsFrom)},
	{path: "service.intercept.except", noReverse: onlyListen, def: nothing, set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.Intercept.Except })},
	{path: "service.intercept.interfaces", noReverse: onlyListen, def: nothing, set: distinct(interfaceName, func(p place) *[]string { return &p.service.Intercept.Interfaces })},
	{path: "service.intercept.ports", noReverse: onlyListen, def: []any{int64(21)}, set: some(distinct(port, func(p place) *[]uint16 { return &p.service.Intercept.Ports }), needsPorts)},
	// Deny before allow, which is held against it.
	{path: "service.destinations.deny", noReverse: itsBackends, def: []any{"private", "loopback", "link-local", "self"}, set: setDeny},
	{path: "service.destinations.allow", noReverse: itsBackends, def: nothing, set: setAllow},
	{path: "service.explicit", def: false, set: one(boolean, func(p place) *bool { return &p.service.Explicit })},
	{path: "service.advertise", noForward: namesServer, def: "", set: setAdvertise},
	{path: "service.advertise_to", noForward: namesServer, def: nothing, set: setAdvertiseTo},
	{path: "service.ports", noForward: dialsServer, def: "61000-64999", set: one(ports, func(p place) *proxy.PortRange { return &p.service.Ports })},
	{path: "service.active_ports", def: "20000-59999", set: one(ports, func(p place) *proxy.PortRange { return &p.service.ActivePorts })},
	{path: "service.modes", def: []any{"passive", "active"}, set: setModes},
	{path: "service.active_address", def: "reject", set: one(activeAddress, func(p place) *bool { return &p.service.ActiveAddressPeer })},
	{path: "service.data_peer", noForward: dialsServer, def: "exact", set: one(dataPeer, func(p place) *proxy.PeerBits { return &p.service.PeerBits })},
	{path: "service.source", def: "gateway", set: one(source, func(p place) *bool { return &p.service.FromClient })},
	{path: "service.source_address", def: "", set: one(optional(address), func(p place) *netip.Addr { return &p.service.SourceAddress })},
	{path: "service.data", def: "auto", set: one(dataPath, func(p place) *proxy.DataPath { return &p.service.Data })},
	{path: "service.strict", def: false, set: one(boolean, func(p place) *bool { return &p.service.Strict })},
	{path: "service.cut", def: false, set: one(boolean, func(p place) *bool { return &p.service.Cut })},

	// One value says what happens in this version.
	{path: "service.default_data_port", def: false, set: one(off("RETR without PORT or PASV fails"), nil)},

	{path: "service.timeouts.connect", def: "10s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Connect })},
	{path: "service.timeouts.greeting", def: "30s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Greeting })},
	{path: "service.timeouts.login", def: "60s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Login })},
	{path: "service.timeouts.idle", def: "15m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Idle })},
	{path: "service.timeouts.pinhole", def: "60s", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Pinhole })},
	{path: "service.timeouts.transfer_start", def: "10m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.TransferStart })},
	{path: "service.timeouts.stalled", def: "5m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Stalled })},
	{path: "service.timeouts.drain", def: "5m", set: timeout(func(t *proxy.Timeouts) *time.Duration { return &t.Drain })},

	// Without a default: a service begins with the values of [limits].
	{path: "service.limits.sessions", set: one(count, func(p place) *int { return &p.service.Limits.Sessions })},
	{path: "service.limits.sessions_per_client", set: one(count, func(p place) *int { return &p.service.Limits.SessionsPerClient })},
	{path: "service.limits.new_per_client", set: one(optional(rate), func(p place) *proxy.Rate { return &p.service.Limits.NewPerClient })},
	{path: "service.limits.exempt", set: list(prefix, func(p place) *[]netip.Prefix { return &p.service.Limits.Exempt })},

	{path: "service.backend_tls.mode", noForward: serversTLS, def: "clear", set: ofBackend(backendTLSMode, func(t *proxy.BackendTLS) *proxy.BackendTLSMode { return &t.Mode })},
	{path: "service.backend_tls.ca", noForward: serversTLS, def: "", set: ofBackend(optional(pemFile), func(t *proxy.BackendTLS) *string { return &t.CA })},
	{path: "service.backend_tls.server_name", noForward: serversTLS, def: "", set: ofBackend(optional(serverName), func(t *proxy.BackendTLS) *string { return &t.ServerName })},
	{path: "service.backend_tls.certificate", noForward: serversTLS, def: "", set: ofBackend(optional(pemFile), func(t *proxy.BackendTLS) *string { return &t.Certificate })},
	{path: "service.backend_tls.key", noForward: serversTLS, def: "", set: ofBackend(optional(pemFile), func(t *proxy.BackendTLS) *string { return &t.Key })},
	{path: "service.backend_tls.min_version", noForward: serversTLS, def: "1.2", set: ofBackend(tlsVersion, func(t *proxy.BackendTLS) *uint16 { return &t.MinVersion })},
	{path: "service.backend_tls.insecure_skip_verify", noForward: serversTLS, def: false, set: ofBackend(boolean, func(t *proxy.BackendTLS) *bool { return &t.InsecureSkipVerify })},

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
