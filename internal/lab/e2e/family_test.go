package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
)

// TestFamilyMatrix is clients that have IPv6 alone with servers that have IPv4
// alone, and the other way round (RFC 6384): real servers × clients × modes.
func TestFamilyMatrix(t *testing.T) {
	tree := labtest.Tree(t)
	for _, way := range []struct {
		name            string
		outside, inside netip.Addr
	}{{"v6 to v4", lab.WanV6, lab.ServerV4}, {"v4 to v6", lab.WanV4, lab.ServerV6}} {
		t.Run(way.name, func(t *testing.T) {
			t.Parallel()
			l := labtest.New(t, lab.Options{})
			m := labtest.Matrix{Tree: tree, From: l.Client, Size: smallFile, Parallel: true}
			config := ""
			for i, name := range debian.Servers {
				port, outside := uint16(12_100+100*i), netip.AddrPortFrom(way.outside, uint16(2100+i))
				target := labtest.Target{Server: labtest.StartServer(t, tree, l.Server, name, port)}
				if way.outside.Is4() {
					target.V4 = outside
				} else {
					target.V6 = outside
				}
				config += fmt.Sprintf("[[service]]\nname = %q\nlisten = [%q]\nbackends = [%q]\ntls.mode = \"refuse\"\n",
					name, outside, netip.AddrPortFrom(way.inside, port))
				m.Targets = append(m.Targets, target)
			}
			g := prepareGateway(t, l, config)
			g.start()
			m.Run(t)
			g.noPinholes()
		})
	}
}

// Both at once: TLS ends here, with another TLS behind it, in another family.
func TestFamilyAndTLSMatrix(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	c := newCertificates(t)
	m := tlsMatrix(tree, l)
	config := ""
	for i, way := range []struct{ outside, inside netip.Addr }{{lab.WanV6, lab.ServerV4}, {lab.WanV4, lab.ServerV6}} {
		port, outside := uint16(12_100+100*i), netip.AddrPortFrom(way.outside, uint16(2100+i))
		o := debian.ServerOptions{TLS: debian.Explicit, RequireTLS: true, PKI: c.inside}
		target := labtest.Target{
			Name:   fmt.Sprintf("vsftpd-%d", i),
			Server: labtest.StartServerWith(t, tree, l.Server, debian.VSFTPD, port, o),
			TLS:    debian.Explicit, PKI: c.outside,
		}
		if way.outside.Is4() {
			target.V4 = outside
		} else {
			target.V6 = outside
		}
		config += fmt.Sprintf("[[service]]\nname = %q\nlisten = [%q]\nbackends = [%q]\n", target.Name, outside,
			netip.AddrPortFrom(way.inside, port)) + c.terminate() + c.backend(debian.Explicit)
		m.Targets = append(m.Targets, target)
	}
	m.Modes = debian.Modes
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
}
