package conntrack_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"ftpgate/nft/conntrack"
)

// sweeps keeps what Swept was called with.
type sweeps struct {
	mu  sync.Mutex
	all [][]conntrack.Flow
}

func (s *sweeps) add(flows []conntrack.Flow) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, flows)
}

// of returns the states in which a flow was seen, one by sweep. None: not there.
func (s *sweeps) of(orig conntrack.Tuple) (states []conntrack.TCPState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, flows := range s.all {
		state := conntrack.None
		for _, f := range flows {
			if f.Orig == orig {
				state = f.State
			}
		}
		states = append(states, state)
	}
	return states
}

// A flow that runs and one that has ended are both read with their counters, and
// the ended one is there for one more sweep, whichever way it ended.
func TestSwept(t *testing.T) {
	for name, end := range map[string]func(s *scene, dialled, accepted net.Conn){
		"closed": func(s *scene, d, a net.Conn) { s.send(1000, d, a) },
		"reset": func(s *scene, d, a net.Conn) {
			io.WriteString(d, "hello")
			io.ReadFull(a, make([]byte, 5))
			d.(*net.TCPConn).SetLinger(0)
			d.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachFamily(t, func(s *scene) {
				var seen sweeps
				s.listening(conntrack.ListenConfig{Brief: true, Reap: true, Sweep: 50 * time.Millisecond, Linger: time.Minute, Swept: seen.add})
				ln := s.listen(s.Server, s.server)
				p := s.passive(61000, ln)
				dialled, accepted := s.through(s.Client, p, ln)
				orig := conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}
				s.until("a sweep sees it run", func() bool {
					states := seen.of(orig)
					return len(states) > 0 && states[len(states)-1] == conntrack.Established
				})
				end(s, dialled, accepted)
				c := s.dial()
				s.until("the flow is removed", func() bool {
					_, err := c.Get(orig)
					return errors.Is(err, conntrack.ErrNotFound)
				})
				over := 0
				for _, state := range seen.of(orig) {
					if state.Over() {
						over++
					}
				}
				if over != 2 {
					s.Errorf("sweeps saw %v, want two of them to see the end", seen.of(orig))
				}
			})
		})
	}
}

// Without Reap all is read and nothing deleted.
func TestSweptAlone(t *testing.T) {
	eachFamily(t, func(s *scene) {
		var seen sweeps
		s.listening(conntrack.ListenConfig{Brief: true, Sweep: 20 * time.Millisecond, Swept: seen.add})
		ln := s.listen(s.Server, s.server)
		p := s.passive(61000, ln)
		dialled, accepted := s.through(s.Client, p, ln)
		orig := conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}
		s.send(1000, dialled, accepted)
		s.until("four sweeps see the end", func() bool {
			over := 0
			for _, state := range seen.of(orig) {
				if state.Over() {
					over++
				}
			}
			return over > 3
		})
		if f, err := s.dial().Get(orig); err != nil || f.Payload(0) != 1000 {
			s.Errorf("got %+v, %v; want it to be there with its bytes", f, err)
		}
	})
}
