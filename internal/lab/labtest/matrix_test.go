package labtest

import (
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
)

// Plain routing, no gateway: what fails here is no fault of ftpgate's.
func TestRealServersAndClientsWithoutAGateway(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{Routed: true})
	m := Matrix{Tree: tree, From: l.Client}
	for i, name := range debian.Servers {
		port := uint16(2100 + 100*i)
		m.Targets = append(m.Targets, Target{
			Server: StartServer(t, tree, l.Server, name, port),
			V4:     netip.AddrPortFrom(lab.ServerV4, port),
			V6:     netip.AddrPortFrom(lab.ServerV6, port),
		})
	}
	m.Run(t)
}
