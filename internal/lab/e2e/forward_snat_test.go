package e2e

import (
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// snat is an admin's who sends everything out from another address than the
// routing table would.
const snat = `table inet admin {
	chain post { type nat hook postrouting priority srcnat; policy accept;
		oifname "wan" meta nfproto ipv4 snat ip to 198.51.100.77
	}
}`

// Control and data leave from one address, whatever an admin's nat has for the
// rest: the server compares them, and dials the one that PORT names.
func TestForwardBesideAnAdminsSNAT(t *testing.T) {
	tree := labtest.Tree(t)
	for name, tt := range map[string]struct{ keys, rules string }{
		"snat to another address":       {"", snat},
		"masquerade and source_address": {"source_address = \"198.51.100.77\"", masquerade},
	} {
		t.Run(name, func(t *testing.T) {
			l := forwardLab(t)
			address(t, l.Gateway, lab.WanLink, "198.51.100.77/24", true)
			startOn(t, l.Client, &ftpd.Server{}, outside4)
			loadRules(t, tree, l.Gateway, tt.rules)
			g := startForward(t, l, tt.keys, "")
			c := login(t, l.Server, outside4)
			for _, mode := range inwardModes[outside4] {
				if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
					t.Errorf("%s: %v", mode, err)
				}
			}
			g.noPinholes()
		})
	}
}
