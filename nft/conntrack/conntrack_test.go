package conntrack_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

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

// Another FTP helper than us has its eye on a connection.
func TestHelper(t *testing.T) {
	eachFamily(t, func(s *scene) {
		c, control := s.dial(), s.listen(s.Gateway, s.wan)
		if err := s.table.SetListen([]netip.AddrPort{addrOf(control.Addr())}); err != nil {
			t.Fatal(err)
		}
		helper := func(dialled net.Conn) string {
			s.Helper()
			orig := conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: addrOf(control.Addr())}
			f, err := c.Get(orig)
			if err != nil {
				s.Fatal(err)
			}
			reply, err := c.GetReply(conntrack.Tuple{Src: orig.Dst, Dst: orig.Src})
			if err != nil {
				s.Fatal(err)
			}
			all, err := c.Dump(mark, mark)
			if err != nil {
				s.Fatal(err)
			}
			for _, d := range append(all, reply) {
				if d.Orig == orig && d.Helper != f.Helper {
					s.Errorf("the helper is %q and %q", d.Helper, f.Helper)
				}
			}
			return f.Helper
		}
		dialled, _ := s.connect(s.Client, addrOf(control.Addr()), control)
		if got := helper(dialled); got != "" {
			t.Errorf("helper %q where there is none", got)
		}
		s.assignHelper("ftp")
		dialled, _ = s.connect(s.Client, addrOf(control.Addr()), control)
		if got := helper(dialled); got != "ftp" {
			t.Errorf("helper %q, want ftp", got)
		}
	})
}

// assignHelper gives TCP connections through the gateway a helper, as an admin's
// rule does.
func (s *scene) assignHelper(name string) {
	s.Helper()
	s.onGateway(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		table := c.AddTable(&nftables.Table{Name: "helpers", Family: nftables.TableFamilyINet})
		c.AddObj(&nftables.NamedObj{Table: table, Name: "h", Type: nftables.ObjTypeCtHelper,
			Obj: &expr.CtHelper{Name: name, L3Proto: unix.NFPROTO_INET, L4Proto: unix.IPPROTO_TCP}})
		chain := c.AddChain(&nftables.Chain{Table: table, Name: "pre", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityFilter})
		c.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
			&expr.Objref{Type: unix.NFT_OBJECT_CT_HELPER, Name: "h"},
		}})
		return c.Flush()
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
			if _, busy, err := c.Clear(reply, mark); busy != want || err != nil {
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
		if _, busy, err := c.Clear(reply, mark<<1); !busy || err != nil {
			t.Errorf("a flow without the mark: busy %v, %v", busy, err)
		}
		s.send(1, dialled, accepted)
	})
}

// Nothing shows that packets have no timestamps: their 12 bytes are missed.
func TestPayloadWithoutTimestamps(t *testing.T) {
	eachFamily(t, func(s *scene) {
		if err := s.Client.Sysctl("net.ipv4.tcp_timestamps", "0"); err != nil {
			t.Fatal(err)
		}
		c := s.dial()
		for i, size := range []int64{100, 100_000, 3<<20 + 17} {
			ln := s.listen(s.Server, s.server)
			p := s.passive(uint16(61000+i), ln)
			dialled, accepted := s.through(s.Client, p, ln)
			orig := conntrack.Tuple{Src: addrOf(dialled.LocalAddr()), Dst: p.At}
			s.send(size, accepted, dialled)
			var f conntrack.Flow
			s.until("the connection is over", func() (over bool) {
				var err error
				f, err = c.Get(orig)
				return err == nil && f.State.Over()
			})
			again := uint64(size) / 20 // what a busy machine makes TCP send again
			got, missed := f.Payload(1), 12*f.Packets[1]
			if got > uint64(size)+again || got+missed < uint64(size) {
				t.Errorf("counted %d of %d bytes in %d packets", got, size, f.Packets[1])
			}
		}
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
