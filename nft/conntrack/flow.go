package conntrack

import (
	"fmt"
	"net/netip"
)

// A Tuple is one direction of a TCP connection.
type Tuple struct{ Src, Dst netip.AddrPort }

func (t Tuple) String() string { return fmt.Sprintf("%v -> %v", t.Src, t.Dst) }

// A Flow is an entry of the conntrack table.
type Flow struct {
	Orig, Reply    Tuple
	Mark           uint32
	Status         Status
	State          TCPState
	Bytes, Packets [2]uint64 // of the original and of the reply direction
	ID             uint32    // tells flows apart that have the same tuples
	Helper         string    // the conntrack helper that has its eye on the flow, as "ftp"; an event may leave it out

	// AcceptorClosed says that the side that was dialled sent the first FIN. It
	// then keeps its end of the connection in TIME_WAIT. DiallerClosed says the
	// same of the side that dialled; with neither nobody has closed.
	AcceptorClosed, DiallerClosed bool
}

// Answered reports whether the side that was dialled has answered the SYN with
// one of its own. A flow that is there and has no answer was dropped on the way,
// or rejected with an ICMP message. One whose SYN was answered with a reset is
// not there: conntrack forgets it at once.
func (f Flow) Answered() bool { return f.Status&SeenReply != 0 }

// Connected reports whether the handshake was completed, whatever came after.
func (f Flow) Connected() bool {
	return f.Status&Assured != 0 || f.State >= Established && f.State <= TimeWait
}

// Reset reports whether a connection that both sides had made was broken off
// before either of them closed it. After that a reset is no more than a side's
// way not to wait.
func (f Flow) Reset() bool {
	return f.State == Close && f.Connected() && !f.AcceptorClosed && !f.DiallerClosed
}

// Status are bits of what conntrack knows of a flow (IPS_* in the kernel).
type Status uint32

// Bits of Status.
const (
	SeenReply Status = 1 << 1 // the side that was dialled spoke
	Assured   Status = 1 << 2 // the handshake was completed
	SNAT      Status = 1 << 4 // the source is translated
	DNAT      Status = 1 << 5 // the destination is translated

	translated = SNAT | DNAT
)

// TCPState is how far a connection has come, as its packets show it.
type TCPState uint8

// The states, in the kernel's order.
const (
	None TCPState = iota // the message did not say
	SynSent
	SynRecv
	Established
	FinWait
	CloseWait
	LastAck
	TimeWait
	Close
	SynSent2
)

var stateNames = [...]string{"NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED",
	"FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE", "SYN_SENT2"}

func (s TCPState) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("TCPState(%d)", uint8(s))
}

// Over reports whether the connection has ended.
func (s TCPState) Over() bool { return s == TimeWait || s == Close }

// Payload estimates the bytes that a direction carried without headers: 0 is
// the original direction, 1 the reply. It takes each packet to have TCP
// timestamps, and the SYN 8 bytes of options more, as most systems send them.
// Between two of these, and with nothing lost on the way, it is exact.
// Retransmitted bytes count again. Where one of the two does without timestamps,
// which the counters do not show, it is up to 12 bytes a packet too little: 1 % of
// a large file.
func (f Flow) Payload(direction int) uint64 {
	header := uint64(20 + 32)
	if f.Orig.Src.Addr().Is6() {
		header = 40 + 32
	}
	overhead := header*f.Packets[direction] + 8
	return f.Bytes[direction] - min(overhead, f.Bytes[direction])
}
