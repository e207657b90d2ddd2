package proxy

import (
	"net/netip"
	"slices"
	"time"

	"ftpgate/alg"
)

// Settings is what a Server runs on: a whole, checked configuration. A Server
// never changes it; Server.Reload swaps in another one for new sessions.
type Settings struct {
	Services []Service
	Limits   Limits
}

// Mode says on which side of the boundary the clients of a service are.
type Mode string

// The two sides.
const (
	Reverse Mode = "reverse" // internal servers, for clients outside
	Forward Mode = "forward" // any server, for internal clients that are redirected here
)

// Service is one [[service]] of the configuration.
type Service struct {
	Name     string
	Mode     Mode
	Listen   []netip.AddrPort
	Backends []netip.AddrPort // tried in order, those of the client's family; without any, the others

	Clients     []netip.Prefix // who may connect; empty: everybody
	DenyClients []netip.Prefix // who may not, even when Clients has them

	Intercept    Intercept    // Forward: whose connections are redirected here, and which
	Destinations Destinations // Forward: where they may lead
	Explicit     bool         // Forward: who dials the listener itself may name the server: USER user@host[:port]

	Advertise     netip.Addr    // text of 227 only; zero: the address the client dialled
	AdvertiseName string        // a DNS name instead, asked again and again; "": none
	AdvertiseTo   []AdvertiseTo // for some clients another one; the first that fits
	PeerBits      PeerBits      // who may dial a passive pinhole
	FromClient    bool          // servers see the client's own address (source = "client")

	Ports       PortRange // passive: on the address that the client dialled
	ActivePorts PortRange // active: on the inside address that the server dials

	Passive, Active bool // which data modes are offered; the others get 502

	// ActiveAddressPeer lets a PORT or EPRT name any address and uses the
	// client's own instead. False: such a command is refused with 504.
	ActiveAddressPeer bool

	Data       DataPath
	TLS        TLS
	BackendTLS BackendTLS

	SourceAddress netip.Addr // inside address to dial backends from; zero: the routing table decides
	OnlyAudited   bool       // nobody is served while the audit log cannot be written
	Strict        bool       // a 227 with an address that is not the server's gets 425; violations end the session
	Cut           bool       // running transfers are cut when their session ends
	Timeouts      Timeouts
	Limits        Limits // [service.limits] laid over [limits]
}

// Intercept says which connections are redirected to a forward service.
type Intercept struct {
	From       []netip.Prefix // clients; who is not in it may not use the service either
	Except     []netip.Prefix // clients or servers that are left alone
	Interfaces []string       // where clients come in; empty: any
	Ports      []uint16       // that they dial
}

// Destinations say where a forward service may lead. Deny comes first; what
// neither has is allowed unless Allow has something.
type Destinations struct {
	Allow, Deny []netip.Prefix
	DenySelf    bool // addresses of this host
}

// AdvertiseTo is the address that a 227 names to some clients.
type AdvertiseTo struct {
	Clients netip.Prefix
	Address netip.Addr
}

// PeerBits are how long a prefix of its client's address a passive pinhole
// admits, by family; 0: the exact address.
type PeerBits struct{ V4, V6 int }

// of returns the length for a client; 0: exactly its address.
func (b PeerBits) of(client netip.Addr) int {
	if client.Is4() {
		return b.V4
	}
	return b.V6
}

// DataPath is who carries data.
type DataPath string

// Who carries data: DataAuto is the kernel wherever it can.
const (
	DataAuto   DataPath = "auto"
	DataKernel DataPath = "kernel" // and where it cannot, there is no data
	DataRelay  DataPath = "relay"
)

// TLS is what clients of a service get (RFC 4217).
type TLS struct {
	Mode              alg.TLS
	Require           bool   // no login and no data without it
	Implicit          bool   // from the first byte, as on port 990
	Certificate, Key  string // PEM files: the chain, and its key (in the same file if Key is empty)
	ClientCA          string // PEM file; clients need a certificate that it signed
	MinVersion        uint16 // tls.VersionTLS12 or VersionTLS13
	RequireResumption bool   // data connections resume the control connection's session

	PassPorts PortRange // alg.PassTLS: what clients dial; zero: none
	PassTo    uint16    // where at the backend PassPorts.First leads
	PassFlows int       // data connections of one session at once
}

// BackendTLS is how a service's backends are dialled.
type BackendTLS struct {
	Mode               BackendTLSMode
	CA                 string // PEM file; "": the system's
	ServerName         string // name in the backend's certificate; "": its address
	Certificate, Key   string // PEM files, for a backend that asks for one
	MinVersion         uint16
	InsecureSkipVerify bool
}

// BackendTLSMode is when TLS begins.
type BackendTLSMode string

// When TLS begins with a backend.
const (
	BackendClear    BackendTLSMode = "clear"    // never
	BackendExplicit BackendTLSMode = "explicit" // by AUTH TLS
	BackendImplicit BackendTLSMode = "implicit" // with the first byte
)

// Relays reports whether data of the service may have to be relayed.
func (s *Service) Relays() bool {
	if s.Mode == Forward {
		return false
	}
	lonely := func(l netip.AddrPort) bool { // no backend of its family
		return !slices.ContainsFunc(s.Backends, func(b netip.AddrPort) bool { return b.Addr().Is4() == l.Addr().Is4() })
	}
	mixed := slices.ContainsFunc(s.Listen, lonely) || slices.ContainsFunc(s.Backends, func(b netip.AddrPort) bool { return b.Addr().IsLoopback() })
	return mixed || s.TLS.Mode == alg.TerminateTLS || s.OnlyRelays()
}

// OnlyRelays reports whether the kernel carries none of the service's data.
func (s *Service) OnlyRelays() bool {
	return s.Data == DataRelay || s.TLS.Mode == alg.TerminateTLS && s.TLS.Require ||
		s.BackendTLS.Mode == BackendExplicit || s.BackendTLS.Mode == BackendImplicit
}

// Machine is what the machine of a session of the service must know. own are
// all listeners of the gateway.
func (s *Service) Machine(client, server netip.Addr, own []netip.AddrPort) alg.Config {
	return alg.Config{
		Client: client, Server: server, Own: own,
		Passive: s.Passive, Active: s.Active, PeerAddress: s.ActiveAddressPeer, Strict: s.Strict,
		TLS: s.TLS.Mode, Require: s.TLS.Require, Implicit: s.TLS.Implicit,
		Data: s.TLS.PassPorts != PortRange{} || s.Mode == Forward, Routed: s.Mode == Forward,
	}
}

// PortRange is First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Size returns how many ports the range has.
func (r PortRange) Size() int { return int(r.Last) - int(r.First) + 1 }

// Timeouts bound what a session waits for. All are positive.
type Timeouts struct {
	Connect       time.Duration // a backend's answer to our SYN
	Greeting      time.Duration // a backend's 220
	Login         time.Duration // from the greeting to the login
	Idle          time.Duration // no line either way and no transfer
	Pinhole       time.Duration // an unused pinhole, decided by the kernel
	TransferStart time.Duration // a data command without its data connection
	Stalled       time.Duration // a transfer whose data connection moves nothing
	Drain         time.Duration // running transfers when the daemon stops
}

// Limits bound what clients can use up.
type Limits struct {
	Sessions          int            // at once; 0: min(10000, what RLIMIT_NOFILE allows)
	SessionsPerClient int            // at once and per client address; 0: no limit
	NewPerClient      Rate           // per client address; zero: no limit
	Exempt            []netip.Prefix // clients to whom the two limits per client do not apply
}

// Rate is Count events in each Per.
type Rate struct {
	Count int
	Per   time.Duration
}
