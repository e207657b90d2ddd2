package conntrack_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/nft/conntrack"
)

// filter has a host treat all TCP that arrives for it by a verdict.
func (s *scene) filter(h *lab.Host, verdict expr.Any) {
	s.Helper()
	err := h.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Name: "test", Family: nftables.TableFamilyINet})
		chain := c.AddChain(&nftables.Chain{Table: table, Name: "input", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			verdict,
		}})
		return c.Flush()
	})
	if err != nil {
		s.Fatal(err)
	}
}

// attempt opens a pinhole, has the client dial it in vain for so long, and
// returns the flow as it began.
func (s *scene) attempt(to netip.AddrPort, events <-chan conntrack.Event, patience time.Duration) (conntrack.Flow, error) {
	s.Helper()
	p := s.pinhole(61000, to)
	if err := s.table.Open(p); err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.Context(), patience)
	defer cancel()
	c, err := s.Client.Dial(ctx, "tcp", p.At.String())
	if err == nil {
		c.Close()
		s.Fatalf("connected to %v", p.At)
	}
	return s.next(events, conntrack.New).Flow, err
}

// little is the patience of who waits for nothing.
const little = 200 * time.Millisecond

func TestRefusedConnection(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{Brief: true, Reap: true})
		ln := s.listen(s.Server, s.server)
		ln.Close()
		f, err := s.attempt(addrOf(ln.Addr()), events, 10*time.Second)
		if !errors.Is(err, unix.ECONNREFUSED) {
			s.Fatalf("dialled a closed port: %v", err)
		}
		if got, err := s.dial().Get(f.Orig); !errors.Is(err, conntrack.ErrNotFound) {
			s.Errorf("got %+v, %v; want conntrack to have forgotten it", got, err)
		}
	})
}

func TestUnansweredConnection(t *testing.T) {
	for name, verdict := range map[string]expr.Any{
		"dropped":  &expr.Verdict{Kind: expr.VerdictDrop},
		"rejected": &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED},
	} {
		t.Run(name, func(t *testing.T) {
			eachFamily(t, func(s *scene) {
				_, events := s.listening(conntrack.ListenConfig{Brief: true, Reap: true})
				ln := s.listen(s.Server, s.server)
				s.filter(s.Server, verdict)
				f, _ := s.attempt(addrOf(ln.Addr()), events, little)
				got, err := s.dial().Get(f.Orig)
				if err != nil {
					s.Fatal(err)
				}
				if got.State != conntrack.SynSent || got.Answered() || got.Connected() || got.Reset() || got.ID != f.ID {
					s.Errorf("%+v: answered %v, connected %v, reset %v; want none", got, got.Answered(), got.Connected(), got.Reset())
				}
			})
		})
	}
}

// The answer to the SYN does not come home.
func TestHalfConnection(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{Brief: true, Reap: true})
		ln := s.listen(s.Server, s.server)
		s.filter(s.Client, &expr.Verdict{Kind: expr.VerdictDrop})
		f, _ := s.attempt(addrOf(ln.Addr()), events, little)
		c := s.dial()
		var got conntrack.Flow
		s.until("the answer is seen", func() bool {
			var err error
			got, err = c.Get(f.Orig)
			return err == nil && got.State != conntrack.SynSent
		})
		if got.State != conntrack.SynRecv || !got.Answered() || got.Connected() || got.Reset() {
			s.Errorf("%+v: answered %v, connected %v, reset %v; want it answered alone", got, got.Answered(), got.Connected(), got.Reset())
		}
	})
}

func TestEndsOfConnections(t *testing.T) {
	reset := func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }
	for _, test := range []struct {
		name                    string
		end                     func(s *scene, dialled, accepted net.Conn)
		state                   conntrack.TCPState
		reset, dialler, accepts bool
	}{
		{"the dialler closes", func(s *scene, d, a net.Conn) { s.send(100, d, a) }, conntrack.TimeWait, false, true, false},
		{"the acceptor closes", func(s *scene, d, a net.Conn) { s.send(100, a, d) }, conntrack.TimeWait, false, false, true},
		{"the dialler resets", func(_ *scene, d, _ net.Conn) { reset(d) }, conntrack.Close, true, false, false},
		{"the acceptor resets", func(_ *scene, _, a net.Conn) { reset(a) }, conntrack.Close, true, false, false},
		{"the acceptor closes and the dialler resets", func(s *scene, d, a net.Conn) {
			a.Close()
			if _, err := d.Read(make([]byte, 1)); err != io.EOF {
				s.Fatalf("read after a close: %v", err)
			}
			reset(d)
		}, conntrack.Close, false, false, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			eachFamily(t, func(s *scene) {
				ln := s.listen(s.Server, s.server)
				p := s.passive(61000, ln)
				dialled, accepted := s.through(s.Client, p, ln)
				io.WriteString(dialled, "hello")
				if _, err := io.ReadFull(accepted, make([]byte, 5)); err != nil {
					s.Fatal(err)
				}
				c, orig := s.dial(), conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}
				if f, err := c.Get(orig); err != nil || !f.Connected() || !f.Answered() || f.Reset() || f.DiallerClosed || f.AcceptorClosed {
					s.Errorf("while it runs: %+v, %v", f, err)
				}
				test.end(s, dialled, accepted)
				var f conntrack.Flow
				s.until("the connection is over", func() (over bool) {
					var err error
					f, err = c.Get(orig)
					return err == nil && f.State.Over()
				})
				if f.State != test.state || !f.Connected() || !f.Answered() || f.Reset() != test.reset ||
					f.DiallerClosed != test.dialler || f.AcceptorClosed != test.accepts {
					s.Errorf("%+v: connected %v, reset %v", f, f.Connected(), f.Reset())
				}
				if up := f.Payload(0); up < 5 {
					s.Errorf("counted %d bytes of hello", up)
				}
			})
		})
	}
}
