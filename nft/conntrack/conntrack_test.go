package conntrack_test

import (
	"errors"
	"net/netip"
	"testing"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

func TestGetDumpDelete(t *testing.T) {
	eachFamily(t, func(s *scene) {
		c := s.dial()
		other := s.listen(s.Gateway, s.wan)
		s.connect(s.Client, addrOf(other.Addr()), other) // a flow without the mark
		ln := s.listen(s.Server, s.server)
		p := s.passive(61000, ln)
		dialled, accepted := s.through(s.Client, p, ln)

		orig := conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}
		reply := conntrack.Tuple{Src: p.To, Dst: addrOf(accepted.RemoteAddr())}
		byOrig, err := c.Get(orig)
		if err != nil {
			t.Fatal(err)
		}
		byReply, err := c.GetReply(reply)
		if err != nil {
			t.Fatal(err)
		}
		all, err := c.Dump(mark, mark)
		if err != nil || len(all) != 1 {
			t.Fatalf("dump: %v, %v", all, err)
		}
		const translated = conntrack.SNAT | conntrack.DNAT
		for how, f := range map[string]conntrack.Flow{"get": byOrig, "get by reply": byReply, "dump": all[0]} {
			if f.Orig != orig || f.Reply != reply || f.Mark&mark == 0 || f.State != conntrack.Established ||
				f.Status&translated != translated || f.ID == 0 || f.Packets[0] == 0 {
				t.Errorf("%s: %+v, want %v answered by %v", how, f, orig, reply)
			}
		}

		if everything, err := c.Dump(0, 0); err != nil || len(everything) < 2 {
			t.Errorf("dump without a mask: %v, %v", everything, err)
		}
		for range 2 { // the second finds nothing
			if err := c.Delete(orig); err != nil {
				t.Error(err)
			}
		}
		for _, get := range []func() (conntrack.Flow, error){
			func() (conntrack.Flow, error) { return c.Get(orig) },
			func() (conntrack.Flow, error) { return c.GetReply(reply) },
		} {
			if _, err := get(); !errors.Is(err, conntrack.ErrNotFound) {
				t.Errorf("get a deleted flow: %v", err)
			}
		}
	})
}

func TestClear(t *testing.T) {
	eachFamily(t, func(s *scene) {
		c := s.dial()
		ln := s.listen(s.Client, s.client)
		p := nft.Pinhole{From: s.server, At: netip.AddrPortFrom(s.lan, 20000), To: addrOf(ln.Addr()),
			Source: netip.AddrPortFrom(s.wan, 20)}
		reply := conntrack.Tuple{Src: p.To, Dst: p.Source}
		clear := func(when string, want bool) {
			t.Helper()
			if busy, err := c.Clear(reply, mark); busy != want || err != nil {
				t.Errorf("%s: busy %v, %v", when, busy, err)
			}
		}
		clear("nothing there", false)
		for range 2 { // the same listener and source again: the client sees equal connections
			dialled, accepted := s.through(s.Server, p, ln)
			clear("established", true)
			s.send(1000, dialled, accepted)
			s.until("both sides are done", func() bool {
				f, err := c.GetReply(reply)
				return err == nil && f.State == conntrack.TimeWait
			})
			clear("over", false)
			if _, err := c.GetReply(reply); !errors.Is(err, conntrack.ErrNotFound) {
				t.Errorf("get a cleared flow: %v", err)
			}
		}

		dialled, accepted := s.through(s.Server, p, ln)
		if busy, err := c.Clear(reply, mark<<1); !busy || err != nil {
			t.Errorf("a flow without the mark: busy %v, %v", busy, err)
		}
		s.send(1, dialled, accepted)
	})
}

func TestPayload(t *testing.T) {
	for name, test := range map[string]struct {
		addr           string
		bytes, packets uint64
		want           uint64
	}{
		"nothing":            {"10.0.0.1:1", 0, 0, 0},
		"SYN only":           {"10.0.0.1:1", 60, 1, 0},
		"IPv4":               {"10.0.0.1:1", 60 + 52 + 52 + 1000, 3, 1000},
		"IPv6":               {"[fd00::1]:1", 80 + 72 + 72 + 1000, 3, 1000},
		"without timestamps": {"10.0.0.1:1", 44 + 40, 2, 0},
	} {
		f := conntrack.Flow{Orig: conntrack.Tuple{Src: netip.MustParseAddrPort(test.addr)},
			Bytes: [2]uint64{0, test.bytes}, Packets: [2]uint64{0, test.packets}}
		if got := f.Payload(1); got != test.want {
			t.Errorf("%s: %d bytes, want %d", name, got, test.want)
		}
	}
}
