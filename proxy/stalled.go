package proxy

import (
	"errors"
	"fmt"
	"net"
	"time"

	"ftpgate/nft/conntrack"
	"ftpgate/proxy/audit"
	"ftpgate/proxy/cause"

	"golang.org/x/sys/unix"
)

var errStalled = errors.New("nothing moved on the data connection (timeouts.stalled)")

// standsStill ends a session in the middle of a transfer whose connection has
// carried nothing for timeouts.stalled. One that nobody waits for is left alone.
func (s *session) standsStill(p *pinhole) {
	defer s.recovered()
	if !s.mu.TryLock() { // it moves, or its peer is slow: the next sweep comes
		return
	}
	defer s.mu.Unlock()
	if s.phase == over {
		return
	}
	for _, a := range s.awaited {
		t := a.transfer
		if t == nil || s.likely(t) != p || time.Since(t.began) < s.service.Timeouts.Stalled {
			continue
		}
		t.pinhole, t.stalled = p, s.service.Timeouts.Stalled
		s.end(timedOut, errStalled, fmt.Sprintf("421 Nothing moved on the data connection for %v: closing the control connection\r\n", t.stalled))
		s.cutFlows()
		return
	}
}

// cutFlows ends the data connections of the session that run. What the kernel
// carries is not there any more for it then: who sends gets a RST, and who only
// receives hears nothing.
func (s *session) cutFlows() {
	for _, r := range s.relays {
		r.cut()
	}
	for _, f := range s.gateway.ledger.ofSession(s) {
		s.gateway.ledger.flowOf(f, time.Now()) // nobody can ask how much it has carried when it is gone
		if err := s.gateway.Firewall.Cut(f.orig, f.id); err != nil {
			s.gateway.Logger.Warn("a data connection could not be cut", "sid", s.id, "flow", f.orig, "error", err)
		}
	}
}

// received returns how many bytes have come from both sides, by the sockets'
// own count: the relay's is behind while it splices.
func (r *relayed) received() (n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.halves {
		raw, err := conn.SyscallConn()
		if err != nil {
			continue
		}
		_ = control(raw, func(fd int) error {
			info, err := unix.GetsockoptTCPInfo(fd, unix.SOL_TCP, unix.TCP_INFO)
			if err == nil {
				n += info.Bytes_received
			}
			return err
		})
	}
	return n
}

// tuples are the two connections of the relay, that of who dialled first. Who
// dials two ports at once may do so from one port of its own, and the kernel shows
// us another one for the second: all come to the same listener here.
func (l *ledger) tuples(r *relayed) (dialler, other audit.Flow) {
	r.mu.Lock()
	dialler, other = r.first, r.second
	reply := r.reply
	r.mu.Unlock()
	if f, err := l.server.Flows.GetReply(reply); err == nil && f.Orig.Dst == dialler.Dst {
		dialler.Src = f.Orig.Src
	}
	return dialler, other
}

// met notes a half and its two ends.
func (r *relayed) met(first, second *net.TCPConn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.first = audit.Flow{Src: plain(first.RemoteAddr()), Dst: r.pinhole.rule.At}
	r.reply = conntrack.Tuple{Src: plain(first.LocalAddr()), Dst: plain(first.RemoteAddr())}
	if second != nil {
		r.second = audit.Flow{Src: plain(second.LocalAddr()), Dst: plain(second.RemoteAddr())}
	}
}

// answer is what the connection met behind us, which nothing has broken.
func (r *relayed) answer() cause.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.second.Dst.IsValid() {
		return cause.Accepted
	}
	return cause.Silent // it is still being dialled
}

// answerOf is what a dial met.
func answerOf(err error) cause.Answer {
	if errors.Is(err, unix.ECONNREFUSED) {
		return cause.Refused
	}
	return cause.Silent
}
