package e2e

import (
	"fmt"
	"slices"
	"testing"

	"ftpgate/internal/lab/ftpd"
)

// What an admin writes for ftpgate does for clients inside too. Control and active
// data are translated; passive data is not, it goes where the client dials.
func TestBesideForwardMode(t *testing.T) {
	for _, n := range neighbours {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			tables := ""
			if n.name == "firewalld" { // accepts only what is translated
				tables = "[nft]\naccept_in = [\"inet firewalld filter_FORWARD\"]\n"
			}
			b := near(healthy(t, fmt.Sprintf(leading, "")+tables), n, true)
			startOn(t, b.lab.Client, &ftpd.Server{}, outside4, outside6)
			b.start()
			for at, modes := range inwardModes {
				c := login(t, b.lab.Server, at)
				for range 2 {
					for _, mode := range modes {
						if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
							t.Errorf("%s at %s: %v", mode, at, err)
						}
					}
					b.script("reload")
					if tables != "" { // what passes by our rule waits for it
						eventually(t, "the rule is back", func() bool { return b.rules("inet firewalld filter_FORWARD") == 1 })
					}
				}
			}
		})
	}
}

// firewalld accepts what is translated, and nothing else that it was not told of:
// passive data of clients inside takes its own word for it, where accept_in is not.
func TestBesideFirewalldRefusesPassiveDataGoingOut(t *testing.T) {
	firewalld := neighbours[slices.IndexFunc(neighbours, func(n neighbour) bool { return n.name == "firewalld" })]
	b := near(healthy(t, fmt.Sprintf(leading, "")), firewalld, true)
	startOn(t, b.lab.Client, &ftpd.Server{}, outside4)
	b.start()
	c := login(t, b.lab.Server, outside4)
	if _, err := c.Download(setUp(t, c, "PORT"), "RETR /zero-1K"); err != nil {
		t.Error(err)
	}
	if dial(b.lab.Server, setUp(t, c, "PASV")) {
		t.Error("passive data passes without accept_in")
	}
	// What a policy from one zone to the other with target ACCEPT comes to.
	b.shell(`nft insert rule inet firewalld filter_FORWARD_POLICIES_pre iifname "lan" oifname "wan" accept`)
	if _, err := c.Download(setUp(t, c, "PASV"), "RETR /zero-1K"); err != nil {
		t.Error(err)
	}
}
