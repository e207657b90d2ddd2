package doctor

import (
	"context"
	"time"
)

// Check is the name of a check. The set is closed: they are label values.
type Check string

// check is one entry of the table. It returns what it found, and an error if
// there is something that it could not examine.
type check struct {
	name       Check
	about      string // a sentence for the documentation
	severities []Severity
	run        func(context.Context, *host) ([]Finding, error)
	time       time.Duration // zero: that of asking the kernel
}

// checks are all of them, in the order in which they are reported.
var checks = []check{
	{"forwarding", "The kernel forwards, on every interface that data passes.", []Severity{Error}, forwarding, 0},
	{"control_blocked", "The firewall lets clients reach the addresses of `listen`.", []Severity{Error, Warning}, controlBlocked, 0},
	{"data_blocked", "The firewall lets data connections pass.", []Severity{Error, Warning}, dataBlocked, 0},
	{"accept_in", "The chains of `accept_in` are there.", []Severity{Warning}, acceptIn, 0},
	{"nat_conflict", "No other NAT rule takes our ports first.", []Severity{Error, Warning}, natConflict, 0},
	{"untracked", "No rule keeps our connections from conntrack.", []Severity{Error, Warning}, untracked, 0},
	{"kernel_helper", "The kernel's own FTP helper is not on the same connections.", []Severity{Error, Warning}, kernelHelper, 0},
	{"legacy_rules", "There are no rules of iptables-legacy, which cannot be read.", nil, legacyRules, 0},
	{"listen_address", "The addresses of `listen` are on this host.", []Severity{Notice}, listenAddress, 0},
	{"listen_taken", "Nobody else listens there.", []Severity{Error}, listenTaken, 0},
	{"advertise", "Clients are told an address that they can reach.", []Severity{Warning, Notice}, advertised, 0},
	{"port_range", "The kernel does not hand out ports of `ports` by itself.", []Severity{Warning}, portRange, 0},
	{"port_taken", "Nobody listens on a port of `ports`.", []Severity{Warning}, portTaken, 0},
	{"backend_route", "There is a route to each backend.", []Severity{Error}, backendRoute, 0},
	{"backend", "Each backend answers, as an FTP server, with the TLS that is asked of it.", []Severity{Error}, backends, remoteTime},
	{"backend_pasv", "Each backend knows passive mode.", []Severity{Error, Warning}, backendPASV, remoteTime},
	{"backend_auth", "No backend offers the TLS that clients are refused.", []Severity{Warning}, backendAuth, remoteTime},
	{"certificate", "Certificates and keys can be used, and are valid.", []Severity{Error, Warning}, certificates, 0},
	{"tls_pass", "What TLS that passes by asks of the server.", []Severity{Notice}, tlsPass, 0},
	{"conntrack_full", "The table of connections has room.", []Severity{Error, Warning}, conntrackFull, 0},
	{"conntrack_timeout", "The kernel remembers an idle connection as long as ftpgate does.", []Severity{Warning}, conntrackTimeout, 0},
	{"conntrack_accounting", "The kernel counts the bytes of transfers.", []Severity{Notice}, conntrackAccounting, 0},
	{"mark_taken", "Nobody else uses the bit of `nft.mark`.", []Severity{Warning, Notice}, markTaken, 0},
	{"return_route", "What servers answer to a client's address comes back to us (`source = \"client\"`).", []Severity{Error}, returnRoute, 0},
	{"table_owner", "No other process has the table.", []Severity{Error}, tableOwner, 0},
	{"table_flushed", "Nobody removes the table of the running daemon.", []Severity{Error, Warning}, tableFlushed, 0},
	{"flush_ruleset", "The host's own ruleset does not begin by flushing all others.", []Severity{Warning, Notice}, flushRuleset, 0},
	{"kernel_features", "The kernel has what ftpgate can use.", []Severity{Error, Notice}, kernelFeatures, 0},
	{"descriptors", "The daemon may open as many files as `limits.sessions` needs.", []Severity{Warning}, descriptors, 0},
}
