package stand

import (
	"context"
	"net/netip"

	"ftpgate/internal/lab"
)

// Kind is one way to bring clients to the server.
type Kind struct {
	Name   string // in results and flags
	Title  string // for people
	Target netip.AddrPort
	Active bool // it can do PORT
	Peers  bool // it comes from Debian's packages
	Idle   int  // how many idle sessions it is asked to hold

	routed     bool // clients have a route to the server
	masquerade bool // the server says the gateway's address itself
	start      func(context.Context, *Stand) error
}

// Names of kinds that others are compared with.
const (
	Forward = "forward"
	Kernel  = "kernel"
	FTPGate = "ftpgate"
	HAProxy = "haproxy"
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
	{Name: FTPGate, Title: "ftpgate", Target: atGateway, Active: true, Idle: 9000, start: startFTPGate},
	{Name: HAProxy, Title: "HAProxy", Target: atGateway, Peers: true, Idle: 9000, masquerade: true, start: startHAProxy},
	{Name: "modproxy", Title: "mod_proxy", Target: atGateway, Active: true, Peers: true, Idle: 500, start: startModProxy},
	{Name: "suse", Title: "SuSE ftp-proxy", Target: atGateway, Active: true, Peers: true, Idle: 500, start: startSuSE},
}
