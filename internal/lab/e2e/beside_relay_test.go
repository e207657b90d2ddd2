package e2e

import "testing"

// Relayed data comes in where forwarded data passes through: what an admin writes
// for ftpgate does for it too.
func TestBesideRelayedData(t *testing.T) {
	for _, n := range neighbours {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			b := moveIn(t, n, true, `data = "relay"`, "")
			b.start()
			for _, at := range bothFamilies {
				c := login(t, b.lab.Client, at)
				b.transfersOf(c, at)
				b.script("reload")
				b.transfersOf(c, at)
			}
		})
	}
}
