package conntrack_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

func TestEventsOfATransfer(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{Reap: true})
		c := s.dial()
		for i, size := range []int64{1, 1 << 10, 3<<20 + 17} {
			ln := s.listen(s.Server, s.server) // another port each time, as of an FTP server
			p := s.passive(uint16(61000+i), ln)
			dialled, accepted := s.through(s.Client, p, ln)
			orig := conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}
			if e := s.next(events, conntrack.New); e.Orig != orig || e.Reply.Src != p.To || e.State != conntrack.SynSent {
				t.Errorf("new: %+v, want %v", e, orig)
			}
			s.send(size, accepted, dialled)
			began := time.Now()
			e := s.next(events, conntrack.Destroy)
			if e.Orig != orig || e.Mark&mark == 0 {
				t.Errorf("destroy: %+v, want %v", e, orig)
			}
			// Exact, but for what a busy machine makes TCP send again: whole
			// segments down, selective acknowledgements up.
			down, up := e.Payload(1), e.Payload(0)
			again := uint64(size) / 20
			if down < uint64(size) || down > uint64(size)+again || up > again {
				t.Errorf("counted %d bytes down and %d up, want %d and 0", down, up, size)
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("the counters came %v after the end", took)
			}
			if _, err := c.Get(orig); !errors.Is(err, conntrack.ErrNotFound) {
				t.Errorf("get a reaped flow: %v", err)
			}
		}
	})
}

func TestEventsOfMarkedFlowsOnly(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{})
		other := s.listen(s.Gateway, s.wan)
		ln := s.listen(s.Server, s.server)
		const n = 40
		want := map[conntrack.Tuple]bool{}
		for i := range n {
			s.connect(s.Client, addrOf(other.Addr()), other)
			p := s.passive(uint16(61000+i), ln)
			dialled, _ := s.through(s.Client, p, ln)
			want[conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}] = true
		}
		for range n {
			e := s.next(events, conntrack.New)
			if !want[e.Orig] {
				t.Fatalf("an event of %+v, which has no pinhole or came twice", e)
			}
			delete(want, e.Orig)
		}
	})
}

func TestAnExpiredPinholeIsNotSeen(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{})
		ln := s.listen(s.Server, s.server)
		p := s.passive(61000, ln)
		p.Timeout = 50 * time.Millisecond
		if err := s.table.Open(p); err != nil {
			t.Fatal(err)
		}
		s.until("expiry", func() bool {
			l, err := s.table.List()
			return err == nil && len(l) == 0
		})
		if c, err := s.Client.Dial(t.Context(), "tcp", p.At.String()); err == nil {
			c.Close()
			t.Fatal("connected through an expired pinhole")
		}
		used := s.passive(61001, ln)
		s.through(s.Client, used, ln)
		if e := s.next(events, conntrack.New); e.Orig.Dst != used.At {
			t.Errorf("an event of %v, want the first to be of %v", e.Orig, used.At)
		}
	})
}

func TestBrief(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{Reap: true, Brief: true, Sweep: 50 * time.Millisecond, Linger: time.Minute})
		control := s.listen(s.Gateway, s.wan)
		if err := s.table.SetListen([]netip.AddrPort{addrOf(control.Addr())}); err != nil {
			t.Fatal(err)
		}
		dialled, accepted := s.connect(s.Client, addrOf(control.Addr()), control)
		s.send(10, accepted, dialled)
		ln := s.listen(s.Server, s.server)
		for port := uint16(61000); port < 61003; port++ {
			dialled, accepted := s.through(s.Client, s.passive(port, ln), ln)
			s.send(10, dialled, accepted) // the dialler closes first
			e := <-events
			if e.Type != conntrack.New || e.Orig.Dst.Port() != port {
				t.Fatalf("the next event is %v of %v, want NEW of port %d", e.Type, e.Orig, port)
			}
			s.until("the flow is removed", func() bool {
				_, err := s.dial().Get(e.Orig)
				return errors.Is(err, conntrack.ErrNotFound)
			})
		}
		dialled, accepted = s.through(s.Client, s.passive(61003, ln), ln)
		s.send(10, accepted, dialled) // the side that was dialled closes first
		lingers := (<-events).Orig
		dialled, accepted = s.through(s.Client, s.passive(61004, ln), ln)
		s.send(10, dialled, accepted)
		gone := (<-events).Orig
		s.until("the later flow is removed", func() bool {
			_, err := s.dial().Get(gone)
			return errors.Is(err, conntrack.ErrNotFound)
		})
		if _, err := s.dial().Get(lingers); err != nil {
			t.Errorf("the flow that the other side remembers: %v", err)
		}

		abroad := s.listen(s.Client, s.client)
		dialled, accepted = s.through(s.Server, s.outward(abroad), abroad)
		s.send(10, dialled, accepted)
		e := <-events
		if e.Orig.Dst != addrOf(abroad.Addr()) || e.Status&conntrack.DNAT != 0 {
			t.Errorf("%+v: want the flow whose source alone is translated", e)
		}
		s.until("that flow is removed", func() bool {
			_, err := s.dial().Get(e.Orig)
			return errors.Is(err, conntrack.ErrNotFound)
		})
	})
}

func TestReapLeavesControlConnections(t *testing.T) {
	eachFamily(t, func(s *scene) {
		l, events := s.listening(conntrack.ListenConfig{Reap: true})
		control := s.listen(s.Gateway, s.wan)
		if err := s.table.SetListen([]netip.AddrPort{addrOf(control.Addr())}); err != nil {
			t.Fatal(err)
		}
		dialled, accepted := s.connect(s.Client, addrOf(control.Addr()), control)
		orig := s.next(events, conntrack.New).Orig
		s.send(10, accepted, dialled)
		for s.next(events, conntrack.Update).State != conntrack.TimeWait {
		}
		// A transfer after it is reaped; by then the control connection would be.
		ln := s.listen(s.Server, s.server)
		dialled, accepted = s.through(s.Client, s.passive(61000, ln), ln)
		s.send(10, accepted, dialled)
		if e := s.next(events, conntrack.Destroy); e.Orig.Dst.Port() != 61000 {
			t.Errorf("reaped %v", e.Orig)
		}
		if _, err := s.dial().Get(orig); err != nil {
			t.Errorf("the control connection's flow: %v", err)
		}
		if n := l.Resyncs(); n != 0 {
			t.Errorf("%d resynchronisations without a loss", n)
		}
	})
}

// Two connections from the same port of the client to the same port of the
// server: the server, which closed the first one, still remembers it.
func TestLinger(t *testing.T) {
	eachFamily(t, func(s *scene) {
		_, events := s.listening(conntrack.ListenConfig{Reap: true, Linger: 500 * time.Millisecond})
		ln := s.listen(s.Server, s.server)
		from := &net.TCPAddr{IP: s.client.AsSlice(), Port: 40000}
		c := s.dial()
		var sources []netip.AddrPort
		began := time.Now()
		for port := uint16(61000); port < 61002; port++ {
			p := s.passive(port, ln)
			if err := s.table.Open(p); err != nil {
				t.Fatal(err)
			}
			dialled, accepted := s.connectFrom(s.Client, from, p.At, ln)
			sources = append(sources, addrOf(accepted.RemoteAddr()))
			s.send(1000, accepted, dialled)
			if e := s.next(events, conntrack.Destroy); e.Orig.Dst != p.At || e.Payload(1) != 1000 {
				t.Errorf("destroy: %+v with %d bytes", e, e.Payload(1))
			}
		}
		if time.Since(began) < 400*time.Millisecond && sources[0] == sources[1] {
			t.Errorf("both left from %v", sources[0])
		}
		s.until("the flows go", func() bool {
			flows, err := c.Dump(mark, mark)
			return err == nil && len(flows) == 0
		})
		// The next event of an end is not theirs.
		p := s.passive(61002, ln)
		dialled, accepted := s.through(s.Client, p, ln)
		s.send(1, dialled, accepted)
		if e := s.next(events, conntrack.Destroy); e.Orig.Dst != p.At {
			t.Errorf("the end of %v a second time", e.Orig)
		}
	})
}

func TestLostEvents(t *testing.T) {
	eachFamily(t, func(s *scene) {
		resynced := make(chan []conntrack.Flow, 1)
		l := s.subscribe(conntrack.ListenConfig{
			Buffer: 4096, Reap: true,
			Resync: func(f []conntrack.Flow) { resynced <- f },
		})
		var over, running nft.Pinhole
		for i := range 40 { // nobody reads: the buffer overflows
			ln := s.listen(s.Server, s.server)
			over = s.passive(uint16(61000+i), ln)
			dialled, accepted := s.through(s.Client, over, ln)
			s.send(10, accepted, dialled)
		}
		ln := s.listen(s.Server, s.server)
		running = s.passive(62000, ln)
		s.through(s.Client, running, ln)

		events := s.run(l)
		var seen, seenOver bool
		for _, f := range <-resynced {
			seen = seen || f.Orig.Dst == running.At && f.State == conntrack.Established
			seenOver = seenOver || f.Orig.Dst == over.At
		}
		if !seen || !seenOver || l.Resyncs() != 1 {
			t.Errorf("after %d resynchronisations: running flow seen %v, finished flow seen %v", l.Resyncs(), seen, seenOver)
		}
		c := s.dial()
		s.until("the finished flows are reaped", func() bool {
			flows, err := c.Dump(mark, mark)
			return err == nil && len(flows) == 1 && flows[0].Orig.Dst == running.At
		})
		after := s.passive(62001, ln)
		s.through(s.Client, after, ln)
		for s.next(events, conntrack.New).Orig.Dst != after.At {
		}
	})
}
