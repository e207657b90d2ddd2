package proxy

import (
	"testing"

	"ftpgate/nft"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

const internalError = "421 Internal error of the gateway: try again"

func panics(nft.Pinhole) error { panic("a defect") }

// A defect that a session runs into ends that session, with a word to its
// client; the others go on, and nothing of it is left.
func TestPanicEndsOneSession(t *testing.T) {
	tests := map[string]func(d *dialogue){
		"in the client's line": func(d *dialogue) {
			d.firewall.hook(&d.firewall.onOpen, panics)
			d.client.send("PORT 127,0,0,1,156,64")
		},
		"in the server's line": func(d *dialogue) {
			d.firewall.hook(&d.firewall.onOpen, panics)
			d.command("PASV")
			d.server.send("227 Entering Passive Mode (127,0,0,3,7,208).")
		},
		"in the upkeep": func(d *dialogue) {
			d.firewall.hook(&d.firewall.onRenew, panics)
			d.passive()
			d.command("RETR a")
			d.tick(pinholeLasts - 1)
		},
	}
	for name, defect := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t)
			other := g.loggedIn()
			d := g.loggedIn()
			defect(d)
			d.client.want(internalError)
			d.client.wantEnd()
			d.client.Close()
			d.server.wantGone()
			d.server.Close()
			g.wantEnded(panicked)
			if n := testutil.ToFloat64(g.Metrics.sessions.WithLabelValues("files")); n != 1 {
				t.Errorf("%v sessions, want the other one", n)
			}
			g.firewall.hook(&g.firewall.onOpen, nil)
			other.passive()
		})
	}
}

// A defect in the end itself does not keep the session's other pinhole open.
func TestPanicWhileASessionEnds(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.client.send("PORT 127,0,0,1,156,64")
	tupleIn(t, d.server.line())
	first := true
	d.firewall.hook(&d.firewall.onClose, func(p nft.Pinhole) error {
		if first {
			first = false
			d.firewall.expire(p) // as the kernel will do
			panic("a defect")
		}
		return nil
	})
	d.server.Close()
	d.client.want(serverGone)
	d.client.wantEnd()
	d.client.Close()
	d.wantEnded(serverClosed)
	if n := d.firewall.open(); n != 0 {
		t.Errorf("%d pinholes are open", n)
	}
}
