package e2e

import (
	"fmt"
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
)

// TestMatrix is real servers × real clients × modes × families through the
// gateway: upload, download, list, contents compared.
func TestMatrix(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	m := labtest.Matrix{Tree: tree, From: l.Client}
	config := ""
	for i, name := range debian.Servers {
		port := uint16(2100 + 100*i)
		outside := uint16(21 + i)
		config += fmt.Sprintf("[[service]]\nname = %q\nlisten = [\"198.51.100.1:%d\", \"[2001:db8:1::1]:%[2]d\"]\n"+
			"backends = [\"10.0.0.5:%d\", \"[fd00:10::5]:%[3]d\"]\ntls.mode = \"refuse\"\n", name, outside, port)
		m.Targets = append(m.Targets, labtest.Target{
			Server: labtest.StartServer(t, tree, l.Server, name, port),
			V4:     netip.AddrPortFrom(lab.WanV4, outside),
			V6:     netip.AddrPortFrom(lab.WanV6, outside),
		})
	}
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
	for _, name := range debian.Servers {
		for _, direction := range []string{"download", "upload", "listing"} {
			series := fmt.Sprintf("ftpgate_transfers_total{direction=%q,result=\"done\",service=%q}", direction, name)
			if v := g.metric(series); v == "" || v == "0" {
				t.Errorf("%s is %q after the matrix", series, v)
			}
		}
	}
}
