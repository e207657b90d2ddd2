// Package alg is FTP as a gateway sees it: bytes in, verdicts out. It opens no
// socket, reads no clock, writes no log and starts no goroutine.
//
// One Machine stands for one control connection through the gateway. Lines
// cuts the two byte streams into lines; each line goes to Machine.Client or
// Machine.Server, and the Verdict that comes back says what must be done:
//
//	v := m.Client(line)          // or m.Server(line)
//	for v.Open.ID != 0 {
//		at, err := open a pinhole for v.Open
//		if err != nil { v = m.Refused(reason) } else { v = m.Opened(at) }
//	}
//	close what v.Close names; write v.ToServer and v.ToClient; stop if v.End
//
// A pinhole is opened before the line that announces it is written, always.
//
// The machine keeps a queue of outstanding commands and matches whole replies
// to them (RFC 959 §5.4: each command has exactly one final reply). A 227 means
// something only as the reply to an outstanding PASV; the same text anywhere
// else is inert. What the gateway answers by itself takes its place in the
// same queue, so that a pipelining client gets its replies in order.
//
// # TLS
//
// Config.TLS says whose the client's AUTH is. Where the gateway is the TLS
// server, the machine answers AUTH, PBSZ, PROT, CCC and what REIN undoes
// (RFC 4217), and Verdict.Secure asks for the change of the connection behind
// the line that was just written. It knows nothing of the server's TLS: it is
// given both sides in clear. Where TLS passes, the machine asks for a pinhole of
// ModeAUTH before the AUTH goes on, and is not asked again until Records has
// seen the TLS end; then Resumed.
//
// Nothing may stand in clear behind AUTH: it would count as said within TLS
// (CVE-2011-0411). The machine lets a line change the connection only when no
// reply is outstanding; that nothing came behind it is the session's to check.
// A line that comes while REIN or AUTH waits for its reply has to Wait.
//
// # Data that the gateway relays
//
// Finishes says which reply must wait until the data of a pinhole has been
// delivered, Broken that it never will be: then no 226 reaches the client.
//
// # What the client asks for and what the server knows
//
// Where one of them has IPv4 and the other IPv6, EPSV and EPRT become PASV and
// PORT, or the reverse (RFC 6384); the server hears a NOOP where the gateway
// answers by itself. A server that refuses EPSV as unknown is asked by PASV in
// its place, and remembered; PASV and EPRT likewise. FEAT, HELP and OPTS speak
// of what the gateway can do, whatever the server says.
//
// Be aware:
//   - Slices in a Verdict point into the line or into the machine; they are
//     good until the machine's next call.
//   - The machine may change the bytes of the line that it is given.
//   - A Machine is not safe for concurrent use; its session has the lock.
package alg
