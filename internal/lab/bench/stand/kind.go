package stand

import (
	"context"
	"net/netip"
	"slices"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/load"
)

// Kind is one way to bring clients to the server.
type Kind struct {
	Name   string // in results and flags
	Title  string // for people
	Target netip.AddrPort
	Active bool     // it can do PORT
	Ours   bool     // it is ftpgate
	Peers  bool     // it comes from Debian's packages
	TLS    bool     // clients protect control and data connections
	Idle   int      // how many idle sessions it is asked to hold
	Only   []string // the groups of measures that it is for; nil: those without TLS and profiles

	routed     bool // clients have a route to the server
	masquerade bool // the server says the gateway's address itself
	serverTLS  bool // the server has TLS
	start      func(context.Context, *Stand) error
	fetch      func(context.Context, *Stand, int64) (load.Outcome, error) // where clients do not speak FTP
}

// FTP reports whether clients speak it.
func (k Kind) FTP() bool { return k.fetch == nil }

// Does reports whether a kind is for a group of measures.
func (k Kind) Does(group string) bool {
	if k.Only == nil {
		return group != "tls" && group != "events"
	}
	return slices.Contains(k.Only, group)
}

// Names of kinds that others are compared with.
const (
	Forward = "forward"
	Kernel  = "kernel"
	FTPGate = "ftpgate"
	HAProxy = "haproxy"
	Relay   = "relay"
	TLS     = "tls"
	TLSBoth = "tls-both"
	OpenSSL = "openssl"
	Audited = "audited"
	// TLSServer has the server's TLS go through plain forwarding.
	TLSServer = "tls-server"
)

// The addresses at which clients find the service.
var (
	atServer  = netip.AddrPortFrom(lab.ServerV4, 21)
	atGateway = netip.AddrPortFrom(lab.WanV4, 21)
)

// Kinds are all of them, those that others are compared with first.
//
// Where sessions are processes, nine thousand of them are not asked for: they
// take minutes to start and more memory than a small machine has. mod_proxy ends
// sessions without a word from about the 960th on, SuSE's proxy refuses them from
// the 512th.
var Kinds = []Kind{
	{Name: Forward, Title: "forwarding", Target: atServer, Active: true, Idle: 9000, routed: true},
	{Name: Kernel, Title: "kernel helper", Target: atGateway, Active: true, Idle: 9000, start: startKernel},
	{Name: FTPGate, Title: "ftpgate", Target: atGateway, Active: true, Ours: true, Idle: 9000, start: startFTPGate},
	{Name: HAProxy, Title: "HAProxy", Target: atGateway, Peers: true, Idle: 9000, masquerade: true, start: startHAProxy},
	{Name: "modproxy", Title: "mod_proxy", Target: atGateway, Active: true, Peers: true, Idle: 500, start: startModProxy},
	{Name: "suse", Title: "SuSE ftp-proxy", Target: atGateway, Active: true, Peers: true, Idle: 500, start: startSuSE},
	{Name: Relay, Title: "ftpgate's relay", Target: atGateway, Active: true, Ours: true, Only: []string{"bulk", "stalled"}, start: startRelay},
	{Name: OpenSSL, Title: "openssl", Peers: true, Only: []string{"tls"}, routed: true, start: startOpenSSL, fetch: fetchOpenSSL},
	{Name: TLSServer, Title: "forwarding, TLS at the server", Target: atServer, TLS: true, Only: []string{"tls"}, routed: true, serverTLS: true},
	{Name: Audited, Title: "ftpgate that records", Target: atGateway, Active: true, Ours: true, Only: []string{"events"}, start: startAudited},
	{Name: TLS, Title: "ftpgate with TLS", Target: atGateway, Ours: true, TLS: true, Only: []string{"tls", "stalled"}, start: startTLS},
	{Name: TLSBoth, Title: "ftpgate with TLS on both sides", Target: atGateway, Ours: true, TLS: true, Only: []string{"tls", "stalled"},
		serverTLS: true, start: startTLSTwice},
}
