package nft_test

import (
	"net"
	"net/netip"
	"testing"

	"ftpgate/nft"
)

// forwardPassive admits the inside client to a server abroad, at the address and
// port that the server named; it leaves from our public address.
func (a family) forwardPassive(to net.Listener) nft.Pinhole {
	return nft.Pinhole{From: a.servers, At: addrOf(to.Addr()), To: addrOf(to.Addr()),
		Source: netip.AddrPortFrom(a.wan, 0), Comment: "out/7 passive"}
}

// forwardActive admits a server abroad, at our public address, to the inside
// client, who sees the server's own address and port.
func (a family) forwardActive(port uint16, to net.Listener) nft.Pinhole {
	return nft.Pinhole{From: a.client, At: netip.AddrPortFrom(a.wan, port), To: addrOf(to.Addr()), Comment: "out/7 active"}
}

// Data of a client inside with a server on the Internet, as the gateway forwards
// it, alone and beside an admin's masquerade of everything that leaves.
func TestForwardData(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		for _, masquerade := range []bool{false, true} {
			if masquerade {
				s.masquerade()
				defer s.nft("delete table inet admin")
			}
			data := s.listen(s.Server, a.servers)
			p := a.forwardActive(20000, data)
			s.mustOpen(table, p)
			from20 := &net.TCPAddr{IP: a.client.AsSlice(), Port: 20}
			tr := s.passFrom(s.Client, from20, p.At, data)
			tr.wantSource(a.client, 20)
			s.wantOpen(table, 0)
			s.refuse(s.Client, p.At, "a second connection")
			tr.reset()

			abroad := s.listen(s.Client, a.client)
			p = a.forwardPassive(abroad)
			s.mustOpen(table, p)
			tr = s.pass(s.Server, p.At, abroad)
			tr.wantSource(a.wan, 0)
			s.wantOpen(table, 0)
			tr.reset()
		}
	})
}

// Two clients behind one public address, whose servers name the same port of
// theirs and to whom servers come from the same port.
func TestForwardDataKeepsApart(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		data := s.listen(s.Server, a.servers)
		first, second := a.forwardActive(20000, data), a.forwardActive(20001, data)
		second.From = a.client2
		s.mustOpen(table, first)
		s.mustOpen(table, second)
		s.refuse(s.Client2, first.At, "another server's pinhole")
		s.passFrom(s.Client2, &net.TCPAddr{IP: a.client2.AsSlice(), Port: 20}, second.At, data).wantSource(a.client2, 20)
		s.passFrom(s.Client, &net.TCPAddr{IP: a.client.AsSlice(), Port: 20}, first.At, data).wantSource(a.client, 20)
	})
}

// A firewall that drops what it does not know lets forwarded data pass by the
// one rule, and only that.
func TestForwardDataThroughAFirewall(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.dropAll()
		s.setAccept(table, "inet admin forward", "inet admin input")
		for _, a := range both {
			data, abroad := s.listen(s.Server, a.servers), s.listen(s.Client, a.client)
			active, passive := a.forwardActive(20000, data), a.forwardPassive(abroad)
			s.mustOpen(table, active)
			s.mustOpen(table, passive)
			s.pass(s.Client, active.At, data)
			s.pass(s.Server, passive.At, abroad).wantSource(a.wan, 0)

			control := s.listen(s.Gateway, a.lan)
			s.setIntercept(table, a.out(control))
			s.intercepted(s.Server, a.servers, netip.AddrPortFrom(a.client, ftpPort), control)
		}
		abroad := s.listen(s.Client, v4.client)
		s.swallowed(s.Server, addrOf(abroad.Addr()), "forward")
	})
}
