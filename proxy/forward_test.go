package proxy

import (
	"net/netip"
	"testing"

	"ftpgate/nft"
)

// forward makes the service a forward one, whose clients are redirected to the
// server that the test plays, whatever they dial.
func forward(_ *Settings, s *Service) {
	s.Mode, s.Backends = Forward, nil
	s.Intercept.From = []netip.Prefix{netip.MustParsePrefix(clientAddr + "/32")}
}

// What a translator would take to a denied address is denied too, and nothing else.
func TestDestinationsBehindATranslator(t *testing.T) {
	svc := &service{Service: Service{Destinations: Destinations{Deny: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}}}
	for a, want := range map[string]bool{
		"64:ff9b::10.1.0.1": false, "64:ff9b:1::10.1.0.1": false, "2002:a01:1::1": false, "::10.1.0.1": false, "::ffff:10.1.0.1": false,
		"64:ff9b::192.0.2.1": true, "2002:c000:201::1": true, "2001:db8::a01:1": true,
	} {
		if got := svc.leadsTo(netip.MustParseAddr(a)); got != want {
			t.Errorf("leads to %s: %v, want %v", a, got, want)
		}
	}
}

// newForward starts a gateway to which conntrack says that every client dialled
// the test's server.
func newForward(t *testing.T, change ...func(*Settings, *Service)) *gateway {
	g := newGateway(t, append([]func(*Settings, *Service){forward}, change...)...)
	g.redirect(addrPort(g.backend.Addr()))
	return g
}

// redirect is what conntrack says of where clients wanted to go.
func (g *gateway) redirect(to netip.AddrPort) {
	g.nat.mu.Lock()
	defer g.nat.mu.Unlock()
	g.nat.others = to
}

func TestForwardPassive(t *testing.T) {
	g := newForward(t)
	d := g.loggedIn()
	d.command("PASV")
	d.reply("227 Entering Passive Mode (127,0,0,3,195,80).") // the client dials the server itself
	to := netip.MustParseAddrPort(backendAddr + ":50000")
	want := nft.Pinhole{From: netip.MustParseAddr(clientAddr), At: to, To: to,
		Source: netip.AddrPortFrom(netip.MustParseAddr(insideAddr), 0)}
	d.wantOpen(want)
	d.leave()
}

func TestForwardActive(t *testing.T) {
	g := newForward(t)
	d := g.loggedIn()
	at := d.active()
	if at.Addr().String() != insideAddr {
		t.Errorf("the server is told to dial %v, want the gateway's address %s", at, insideAddr)
	}
	d.wantOpen(nft.Pinhole{From: netip.MustParseAddr(backendAddr), At: at, To: netip.MustParseAddrPort(clientAddr + ":40000")})
	d.leave()
}

// wantOpen looks for a pinhole, whatever its timeout and comment.
func (d *dialogue) wantOpen(want nft.Pinhole) {
	d.t.Helper()
	d.firewall.mu.Lock()
	defer d.firewall.mu.Unlock()
	got := d.firewall.holes[keyOf(want.From, want.At, want.Peers)]
	got.Timeout, got.Comment = 0, ""
	if got != want {
		d.t.Errorf("open is %v, want %v", d.firewall.holes, want)
	}
}

func TestForwardRefuses(t *testing.T) {
	private := Destinations{Deny: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	for name, tt := range map[string]struct {
		from   string
		change func(*Settings, *Service)
		direct bool
		want   string
	}{
		"a client that is not in intercept.from": {otherClient, func(*Settings, *Service) {}, false, refusalTexts[denied]},
		"a destination that is denied":           {clientAddr, func(_ *Settings, s *Service) { s.Destinations = private }, false, refusalTexts[badDestination]},
		"our own address":                        {clientAddr, func(_ *Settings, s *Service) { s.Destinations.DenySelf = true }, false, refusalTexts[badDestination]},
		"who dials the listener itself":          {clientAddr, func(*Settings, *Service) {}, true, refusalTexts[notRedirected]},
	} {
		t.Run(name, func(t *testing.T) {
			g := newForward(t, tt.change)
			if tt.direct {
				g.redirect(netip.MustParseAddrPort(g.at()))
			}
			c := g.dial(tt.from)
			c.want(tt.want[:len(tt.want)-2])
			c.wantEnd()
		})
	}
}

func TestDestinations(t *testing.T) {
	svc := &service{Service: Service{Destinations: Destinations{
		Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("10.0.0.0/8")},
		Deny:  []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")},
	}}}
	for a, want := range map[string]bool{
		"192.0.2.1": true, "::ffff:192.0.2.1": true, "10.2.0.1": true, "10.1.0.1": false, "198.51.100.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "ff02::1": false, "::": false,
		"64:ff9b::10.1.0.1": false, "64:ff9b::192.0.2.1": false, "2002:a01:1::1": false, "::10.1.0.1": false, "240.0.0.1": false, "0.1.2.3": false,
	} {
		if got := svc.leadsTo(netip.MustParseAddr(a)); got != want {
			t.Errorf("leads to %s: %v, want %v", a, got, want)
		}
	}
}

func TestExplicit(t *testing.T) {
	explicit := func(_ *Settings, s *Service) { s.Explicit = true }
	g := newForward(t, explicit)
	g.redirect(netip.MustParseAddrPort(g.at()))
	c := g.dial(clientAddr)
	c.want(explicitGreeting[:len(explicitGreeting)-2])
	for _, tt := range []struct{ line, want string }{
		{"FEAT", explicitFirst}, {"AUTH TLS", explicitFirst}, {"USER anna", explicitSyntax}, {"USER @host", explicitSyntax},
		{"USER anna@127.0.0.3:22", explicitSyntax}, {"USER anna@0.0.0.0", explicitRefused},
	} {
		c.send(tt.line)
		c.want(tt.want[:len(tt.want)-2])
	}
	c.send("USER anna@example.com@" + g.backend.Addr().String())
	d := &dialogue{g, c, g.accept()}
	d.server.send("220-Welcome", "220 ready")
	d.server.want("USER anna@example.com")
	d.reply("331 password")
	d.command("PASS s3cret")
	d.reply("230 in")
	d.command("QUIT")
	d.reply("221 bye")
	d.server.Close()
	d.wantEnded(quit)
}

func TestExplicitGoesNowhere(t *testing.T) {
	g := newForward(t, func(_ *Settings, s *Service) { s.Explicit = true })
	g.redirect(netip.MustParseAddrPort(g.at()))
	c := g.dial(clientAddr)
	c.line()
	c.send("QUIT")
	c.want("221 Goodbye")
	c.Close()
	g.wantEnded(clientClosed)

	c = g.dial(clientAddr)
	c.line()
	c.send("USER anna@" + g.backend.Addr().String())
	server := g.accept()
	server.send("421 full")
	c.want("421 full")
	c.Close()
	g.wantEnded(violated)
}
