package nft_test

import (
	"context"
	"errors"
	"ftpgate/nft"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Only SYNs and only TCP.
func TestInterceptLeavesTheRest(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		s.setIntercept(table, a.out(s.listen(s.Gateway, a.lan)))
		s.masquerade()
		defer s.nft("delete table inet admin")
		abroad := netip.AddrPortFrom(a.client, ftpPort)
		var there net.PacketConn
		err := s.Client.Do(func() (err error) {
			there, err = net.ListenPacket("udp", abroad.String())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer there.Close()
		c, err := s.Server.Dial(s.Context(), "udp", abroad.String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := c.Write([]byte("datagram")); err != nil {
			t.Fatal(err)
		}
		there.SetReadDeadline(time.Now().Add(5 * time.Second))
		if n, _, err := there.ReadFrom(make([]byte, 100)); err != nil || n != len("datagram") {
			t.Errorf("UDP to an intercepted port: %d bytes, %v", n, err)
		}
		s.setIntercept(table)
		running := s.listen(s.Client, a.client)
		tr := s.pass(s.Server, addrOf(running.Addr()), running)
		in := a.out(s.listen(s.Gateway, a.lan))
		in.Ports = []uint16{addrOf(running.Addr()).Port()}
		s.setIntercept(table, in)
		tr.move() // began before
		s.setIntercept(table)
		ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
		defer cancel()
		if _, err := s.Server.Dial(ctx, "tcp", abroad.String()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nothing is intercepted any more: %v", err)
		}
	})
}

// A target of pinholes that is also where connections are intercepted to: these
// keep their source.
func TestInterceptedKeepTheirSource(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		ln, data := s.listen(s.Gateway, a.lan), s.listen(s.Gateway, a.lan)
		s.setIntercept(table, a.out(ln))
		p := a.passive(61000, data)
		s.mustOpen(table, p)
		s.intercepted(s.Server, a.servers, netip.AddrPortFrom(a.client, ftpPort), ln)
		s.pass(s.Client, p.At, data).wantSource(a.lan, 0)
		s.setIntercept(table)
	})
}

func TestInterceptThatIsNone(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		good := nft.Intercept{
			From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Ports: []uint16{21},
			To: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:21")},
		}
		s.setIntercept(table, good)
		for name, change := range map[string]func(*nft.Intercept){
			"of nobody":               func(in *nft.Intercept) { in.From = nil },
			"of no prefix":            func(in *nft.Intercept) { in.From = []netip.Prefix{{}} },
			"except no prefix":        func(in *nft.Intercept) { in.Except = []netip.Prefix{{}} },
			"to no port":              func(in *nft.Intercept) { in.Ports = nil },
			"to port 0":               func(in *nft.Intercept) { in.Ports = []uint16{21, 0} },
			"to no listener":          func(in *nft.Intercept) { in.To = nil },
			"to another family":       func(in *nft.Intercept) { in.To = []netip.AddrPort{netip.MustParseAddrPort("[fd00:10::1]:21")} },
			"to port 0 of ours":       func(in *nft.Intercept) { in.To = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:0")} },
			"on no interface":         func(in *nft.Intercept) { in.Interfaces = []string{""} },
			"on several at once":      func(in *nft.Intercept) { in.Interfaces = []string{"eth*"} },
			"on one with a long name": func(in *nft.Intercept) { in.Interfaces = []string{"an-interface-too-long"} },
		} {
			in := good
			change(&in)
			if err := table.SetIntercept([]nft.Intercept{good, in}); err == nil {
				s.Errorf("%s: taken for an Intercept", name)
			}
		}
		if out := s.nft("list table inet ftpgate"); !strings.Contains(out, "intercept1_from4") || strings.Contains(out, "intercept2") {
			s.Errorf("changed by what was refused:\n%s", out)
		}
	})
}
