// Package cause says why a transfer failed: one word of a closed set, a
// sentence, and what to do about it. Decide comes to it by evidence alone, and
// what it has no evidence for it does not claim.
package cause

// Cause is a word of the closed set, in logs, audit records and metrics.
type Cause string

// The causes.
const (
	NoSyn             Cause = "no_syn"              // nobody dialled the data connection
	WrongPeer         Cause = "wrong_peer"          // somebody else did than who was expected
	Late              Cause = "late"                // who was expected did, when the pinhole was gone
	BackendRefused    Cause = "backend_refused"     // the server did not take a data connection
	BackendBadAddress Cause = "backend_bad_address" // the server named a data address that cannot be used
	ClientRefused     Cause = "client_refused"      // the client did not take a data connection
	Bounce            Cause = "bounce"              // the client named a data address that is not its own, or a forbidden port
	TLSNotResumed     Cause = "tls_not_resumed"     // the data connection's TLS is not the control connection's
	DataTLS           Cause = "data_tls"            // the data connection's TLS handshake failed
	PortsExhausted    Cause = "ports_exhausted"     // no port was free
	BusyPort          Cause = "busy_port"           // the client's port still had a connection
	NFT               Cause = "nft"                 // the kernel did not take the pinhole
	ForeignHelper     Cause = "foreign_helper"      // another FTP helper was at the same connection
	NoDataPort        Cause = "no_data_port"        // a data command without PASV or PORT before it
	Aborted           Cause = "aborted"             // ABOR, or its session was ended by the client or an administrator
	DataBroken        Cause = "data_broken"         // the data connection broke on the way
	ServerError       Cause = "server_error"        // the server said no
	Stalled           Cause = "stalled"             // nothing moved for timeouts.stalled
)

// All are all causes.
var All = []Cause{
	NoSyn, WrongPeer, Late, BackendRefused, BackendBadAddress, ClientRefused, Bounce, TLSNotResumed, DataTLS,
	PortsExhausted, BusyPort, NFT, ForeignHelper, NoDataPort, Aborted, DataBroken, ServerError, Stalled,
}
