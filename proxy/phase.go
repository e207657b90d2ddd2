package proxy

// phase is where a session is. setPhase is the only writer.
type phase uint8

const (
	greeting   phase = iota // the server has yet to say 220
	login                   // the client has yet to log in, or has logged out (REIN)
	open                    // logged in
	opaque                  // TLS that is not ours passes
	clientGone              // the client has ended its side; replies still go to it
	over                    // the last word is said; what the client still sends is read and dropped
)

// String returns the phase as the API has it.
func (p phase) String() string {
	return [...]string{"greeting", "login", "open", "opaque", "client_gone", "over"}[p]
}

// outcome is how a session ended, as a metric label.
type outcome string

const (
	quit         outcome = "quit"            // after QUIT
	clientClosed outcome = "client_closed"   // the client went without QUIT
	serverClosed outcome = "server_closed"   // the server went without QUIT
	timedOut     outcome = "timeout"         // greeting, login or idle
	noBackend    outcome = "backend"         // no backend answered
	violated     outcome = "protocol"        // the machine ended it
	noHandshake  outcome = "tls"             // the client's TLS handshake failed
	broken       outcome = "connection_lost" // a reset or an unanswered keepalive
	addressGone  outcome = "address_gone"    // an address of ours at one of its ends has left this host
	drained      outcome = "drained"         // the daemon goes down
	killed       outcome = "killed"          // an administrator ended it
	panicked     outcome = "panic"           // a defect of ours
)

var outcomes = []outcome{quit, clientClosed, serverClosed, timedOut, noBackend, violated, noHandshake, broken, addressGone, drained, killed, panicked}
