package proxy

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

const (
	noPorts   = "425 The gateway has no free data port: try again later"
	noPinhole = "425 The gateway could not open the data path: try again later"
)

// onePort leaves a service one passive and one active port.
func onePort(_ *Settings, s *Service) {
	s.Ports = PortRange{61000, 61000}
	s.ActivePorts = PortRange{20000, 20000}
}

// arrived has the firewall look, when a pinhole is opened, at what a peer has
// received by then. Nobody must read from it before that.
func (d *dialogue) arrived(p *peer) <-chan int {
	seen := make(chan int, 1)
	d.firewall.hook(&d.firewall.onOpen, func(nft.Pinhole) error {
		seen <- p.unread()
		return nil
	})
	return seen
}

func TestPassivePinholeIsOpenBeforeItIsAnnounced(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	seen := d.arrived(d.client)
	d.command("PASV")
	d.server.send("227 Entering Passive Mode (127,0,0,3,7,208).")
	if n := <-seen; n != 0 {
		t.Errorf("%d bytes were with the client before the pinhole", n)
	}
	d.client.want("227 Entering Passive Mode (127,0,0,2,238,72).")
	d.wantCalls("open " + passiveHole)
}

func TestActivePinholeIsOpenBeforeItIsAnnounced(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	seen := d.arrived(d.server)
	d.client.send("PORT 127,0,0,1,156,64")
	if n := <-seen; n != 0 {
		t.Errorf("%d bytes were with the server before the pinhole", n)
	}
	d.server.want("PORT 127,0,0,5,78,32")
	d.wantCalls("open " + activeHole)
}

func TestExtendedModes(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.command("EPSV")
	d.server.send("229 Entering Extended Passive Mode (|||2000|)")
	d.client.want("229 Entering Extended Passive Mode (|||61000|)")
	d.client.send("EPRT |1|127.0.0.1|40000|")
	d.server.want("EPRT |1|127.0.0.5|20000|")
	d.reply("200 EPRT command successful")
	d.wantCalls("open "+passiveHole,
		"open "+activeHole,
		"close "+passiveHole)
}

func TestPinholeSaysWhoseItIs(t *testing.T) {
	d := newGateway(t).loggedIn()
	var rules []nft.Pinhole
	d.firewall.hook(&d.firewall.onOpen, func(p nft.Pinhole) error {
		rules = append(rules, p)
		return nil
	})
	d.passive()
	d.active()
	for i, mode := range []string{"passive", "active"} {
		if want := fmt.Sprintf("files/%d %s", d.session().id, mode); rules[i].Comment != want {
			t.Errorf("comment %q, want %q", rules[i].Comment, want)
		}
		if want := d.settings.Services[0].Timeouts.Pinhole; rules[i].Timeout != want {
			t.Errorf("timeout %v, want %v", rules[i].Timeout, want)
		}
	}
}

func TestAdvertiseChangesTheTextAlone(t *testing.T) {
	d := newGateway(t, onePort, func(_ *Settings, s *Service) { s.Advertise = netip.MustParseAddr("198.51.100.1") }).loggedIn()
	if got, want := d.passive(), netip.MustParseAddrPort("198.51.100.1:61000"); got != want {
		t.Errorf("announced %v, want %v", got, want)
	}
	d.wantCalls("open " + passiveHole)
}

func TestActiveAddressOfThePeer(t *testing.T) {
	d := newGateway(t, onePort, func(_ *Settings, s *Service) { s.ActiveAddressPeer = true }).loggedIn()
	d.client.send("PORT 192,168,1,20,156,64")
	d.server.want("PORT 127,0,0,5,78,32")
	d.wantCalls("open " + activeHole)
}

// A third party's address opens nothing and is not passed on.
func TestBounceIsRefused(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.refused("PORT 127,0,0,9,156,64", "504 The data address must be the address that you connect from")
	d.command("NOOP") // the next thing that the server hears
	d.wantCalls()
	if n := testutil.ToFloat64(d.Metrics.refusals.WithLabelValues("files", "bounce")); n != 1 {
		t.Errorf("%v refusals, want 1", n)
	}
}

// Edge 86: what the kernel did not take is never announced.
func TestFirewallFails(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.firewall.hook(&d.firewall.onOpen, func(nft.Pinhole) error { return nft.ErrGone })
	d.command("PASV")
	d.server.send("227 Entering Passive Mode (127,0,0,3,7,208).")
	d.client.want(noPinhole)
	d.refused("PORT 127,0,0,1,156,64", noPinhole)
	d.firewall.hook(&d.firewall.onOpen, nil)
	d.passive()
	d.active()
	for _, mode := range []string{"PASV", "PORT"} {
		if n := testutil.ToFloat64(d.Metrics.pinholesTotal.WithLabelValues("files", mode, outcomeRefused)); n != 1 {
			t.Errorf("%v pinholes of %s refused, want 1", n, mode)
		}
	}
	if n := testutil.ToFloat64(d.Metrics.refusals.WithLabelValues("files", "nft")); n != 2 {
		t.Errorf("%v refusals, want 2", n)
	}
}

// A port on which the kernel has a pinhole that nobody here knows is passed over.
func TestPortLeftByAnother(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Ports = PortRange{61000, 61003} }).loggedIn()
	left := map[netip.AddrPort]bool{}
	d.firewall.hook(&d.firewall.onOpen, func(p nft.Pinhole) error {
		if len(left) == maxTries-1 {
			return nil
		}
		left[p.At] = true
		return fmt.Errorf("open: %w", nft.ErrExists)
	})
	at := d.passive()
	if len(left) != maxTries-1 || left[at] {
		t.Errorf("got %v after %v were refused", at, left)
	}
}

func TestAllPortsLeftByAnother(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.firewall.hook(&d.firewall.onOpen, func(p nft.Pinhole) error { return nft.ErrExists })
	d.command("PASV")
	d.server.send("227 Entering Passive Mode (127,0,0,3,7,208).")
	d.client.want(noPinhole)
	if n := len(d.firewall.taken()); n != maxTries {
		t.Errorf("%d tries, want %d", n, maxTries)
	}
}

// Edge 85: out of ports is a 425 and a metric; another client is not concerned,
// and what a session gives back can be had again.
func TestPortsRunOut(t *testing.T) {
	g := newGateway(t, onePort)
	first, second := g.loggedIn(), g.loggedIn()
	at := first.passive()
	second.command("PASV")
	second.server.send("227 Entering Passive Mode (127,0,0,3,7,209).")
	second.client.want(noPorts)
	if n := testutil.ToFloat64(g.Metrics.portsExhausted.WithLabelValues("files")); n != 1 {
		t.Errorf("ports exhausted %v times, want 1", n)
	}
	if n := testutil.ToFloat64(g.Metrics.refusals.WithLabelValues("files", "ports_exhausted")); n != 1 {
		t.Errorf("%v refusals, want 1", n)
	}

	third := g.loggedInFrom(otherClient)
	if got := third.passive(); got != at {
		t.Errorf("the other client got %v, want %v: ports are shared", got, at)
	}
	if n := testutil.ToFloat64(g.Metrics.portsInUse.WithLabelValues("files")); n != 2 {
		t.Errorf("%v ports in use, want 2", n)
	}

	first.leave()
	if got := second.passive(); got != at {
		t.Errorf("announced %v, want %v again", got, at)
	}
}

// One client cannot take all active ports of a backend.
func TestActivePortsAreShared(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) { s.ActivePorts = PortRange{20000, 20015} }) // two per client
	first, second, third, other := g.loggedIn(), g.loggedIn(), g.loggedIn(), g.loggedInFrom(otherClient)
	first.active()
	second.active()
	third.refused("PORT 127,0,0,1,156,64", noPorts)
	other.client.send("PORT 127,0,0,4,156,64")
	if _, rest := tupleIn(t, other.server.line()); rest != "PORT *" {
		t.Errorf("the other client's server reads %q", rest)
	}
	first.reply("421 bye")
	first.server.Close()
	first.client.wantEnd()
	first.client.Close()
	g.wantEnded(serverClosed)
	third.active()
}

// An old active connection's entry would swallow the next one's SYN.
func TestOldFlowIsClearedBeforeAnActivePinhole(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.firewall.hook(&d.firewall.onOpen, func(nft.Pinhole) error {
		d.flows.mu.Lock()
		defer d.flows.mu.Unlock()
		want := []conntrack.Tuple{{Src: netip.MustParseAddrPort(clientAddr + ":40000"), Dst: netip.MustParseAddrPort(gatewayAddr + ":20")}}
		if diff := cmp.Diff(fmt.Sprint(want), fmt.Sprint(d.flows.asked)); diff != "" {
			t.Errorf("cleared before the pinhole was opened (-want +got):\n%s", diff)
		}
		if d.flows.marked != d.Mark {
			t.Errorf("mark %#x, want %#x", d.flows.marked, d.Mark)
		}
		return nil
	})
	d.active()
}

func TestBusyActivePort(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.flows.answer(true, nil)
	d.refused("PORT 127,0,0,1,156,64", "425 This data port still has a connection: use another one")
	d.wantCalls()
	d.flows.answer(false, nil)
	d.active()
}

func TestConntrackCannotBeAsked(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.flows.answer(false, errors.New("no conntrack"))
	d.active()
}

// That 200 picks leave out one of ten ports happens less than once in a hundred million runs.
func TestPortsAreUnpredictable(t *testing.T) {
	ps := newPinholes(Options{}, &relayPorts{})
	at := netip.MustParseAddr(gatewayAddr)
	picked := map[uint16]bool{}
	for range 200 {
		p := &pinhole{rule: nft.Pinhole{From: netip.MustParseAddr(clientAddr)}}
		if !ps.lease(p, PortRange{61000, 61009}, at, randomBelow(10)) {
			t.Fatal("no port")
		}
		picked[p.rule.At.Port()] = true
		ps.release(p)
	}
	if len(picked) != 10 {
		t.Errorf("only %d of 10 ports were picked in 200 rounds", len(picked))
	}
}
