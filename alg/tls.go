package alg

// TLS is what becomes of a client's AUTH (RFC 4217).
type TLS uint8

// The zero TLS refuses.
const (
	RefuseTLS    TLS = iota // 534; FEAT does not offer it
	PassTLS                 // the server's TLS, end to end: after its 234 the gateway sees nothing
	TerminateTLS            // the gateway is the TLS server
)

// Secure is a change of the client's control connection, made after the writes
// of the verdict that asks for it.
type Secure uint8

// The zero Secure: no change.
const (
	StartTLS  Secure = iota + 1 // the client's TLS handshake comes next
	EndTLS                      // TLS ends (RFC 4217 §5, §13); the connection goes on in clear
	GoThrough                   // both connections carry TLS that is not ours, until it ends and Machine.Resumed is called
)
