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
// Be aware:
//   - Slices in a Verdict point into the line or into the machine; they are
//     good until the machine's next call.
//   - The machine may change the bytes of the line that it is given.
//   - A Machine is not safe for concurrent use; its session has the lock.
package alg
