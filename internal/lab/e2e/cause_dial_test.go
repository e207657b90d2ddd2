package e2e

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/proxy/cause"
)

// What the dialogue shows of set-ups, before and after.
var (
	pasvLines = []string{`^client: PASV$`, `^server: 227 .*\(10,0,0,5,\d+,\d+\)\. => 227 .*\(198,51,100,1,\d+,\d+\)`, `^client: RETR /`}
	epsvLines = []string{`^client: EPSV$`, `^server: 229 .*\(\|\|\|\d+\|\) => 229 .*\(\|\|\|\d+\|\)`, `^client: RETR /`}
	portLines = []string{`^client: PORT 198,51,100,\d+,\d+,\d+ => PORT 10,0,0,1,\d+,\d+$`, `^server: 200 `, `^client: RETR /`}
	eprtLines = []string{`^client: EPRT \|2\|2001:db8:1::\d+\|\d+\| => EPRT \|2\|fd00:10::1\|\d+\|$`, `^server: 200 `, `^client: RETR /`}
)

func and(lines []string, more ...string) []string { return slices.Concat(lines, more) }

// hasty is a server that waits for a data connection a moment and says 425 then.
func hasty() *ftpd.Server { return &ftpd.Server{ConnectTimeout: 700 * time.Millisecond} }

// dialling is a hasty server that makes data connections in its own way.
func dialling(dial func(ctx context.Context, network string, from net.Addr, at string) (net.Conn, error)) *ftpd.Server {
	s := hasty()
	s.Dial = dial
	return s
}

// neverDials is a server that says it will.
func neverDials() *ftpd.Server {
	return dialling(func(ctx context.Context, _ string, _ net.Addr, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
}

// misleading is a server that names a port on which nobody listens.
func misleading() *ftpd.Server {
	s := hasty()
	s.Quirks.PortsAside = aside
	return s
}

// undialled is a transfer whose data connection never comes.
func undialled(mode string) func(*scene) {
	return func(s *scene) {
		c := s.login()
		s.setUp(c, mode)
		s.say(c, "RETR /zero-1K", 150, 425)
	}
}

// usurped is one to which somebody else comes first.
func usurped(mode string) func(*scene) {
	return func(s *scene) {
		c := s.login()
		d := s.setUp(c, mode)
		if dial(s.lab.Client2, d) {
			s.t.Error("a stranger was let in")
		}
		s.say(c, "RETR /zero-1K", 150, 425)
	}
}

// unanswered is one whose client dials, and nobody answers it.
func unanswered(mode string) func(*scene) {
	return func(s *scene) {
		c := s.login()
		d := s.setUp(c, mode)
		if err := c.Send("RETR /zero-1K"); err != nil {
			s.t.Fatal(err)
		}
		if conn, err := (impatient{s.client}).Dial(s.t.Context(), "tcp", d.At.String()); err == nil {
			s.t.Cleanup(func() { conn.Close() }) // by the relay, which dials only now
		}
		s.hear(c, 150, 425)
	}
}

// unheard is one whose client does not listen where it says it does.
// A server for which the gateway dials may hear of it by then or in the middle.
func unheard(mode string, dropped bool, codes ...int) func(*scene) {
	return func(s *scene) {
		at := netip.AddrPortFrom(s.client.addr, uint16(clientPorts+s.number))
		if dropped {
			s.drop(s.lab.Client, int(at.Port()))
		}
		c := s.login()
		s.say(c, ftpc.Argument(mode, at), 200)
		s.say(c, "RETR /zero-1K", codes...)
	}
}

// TestCausesOfMissingConnections is data connections that do not come about.
func TestCausesOfMissingConnections(t *testing.T) {
	w := newWorld(t)
	other := netip.MustParseAddr("10.0.0.99")
	address(t, w.lab.Server, lab.HostLink, other.String()+"/24", true)
	twoAddresses := dialling(func(ctx context.Context, network string, _ net.Addr, at string) (net.Conn, error) {
		return w.lab.Server.DialFrom(ctx, network, net.TCPAddrFromAddrPort(netip.AddrPortFrom(other, 20)), at)
	})
	act(t, w, []failing{
		{name: "no_syn-pasv", cause: cause.NoSyn, server: hasty(), fail: undialled("PASV"), fate: "closed",
			says:  `^Nobody dialled {at} within [\d.]+m?s: the client was told to connect there`,
			seen:  []string{`^a pinhole for the client was open at {at}, leading to {to}, and no connection came`, `final reply was 425`},
			lines: and(pasvLines, `^server: 425 `)},
		{name: "no_syn-epsv", cause: cause.NoSyn, v6: true, server: hasty(), fail: undialled("EPSV"), fate: "closed",
			says: `^Nobody dialled {at} within`, lines: and(epsvLines, `^server: 425 `)},
		{name: "no_syn-port", cause: cause.NoSyn, server: neverDials(), fail: undialled("PORT"), fate: "closed",
			says: `^Nobody dialled {at} within [\d.]+m?s: the server was told to connect there`,
			seen: []string{`^a pinhole for the server was open at {at}, leading to {to}`}, lines: and(portLines, `^server: 425 `)},
		{name: "no_syn-eprt", cause: cause.NoSyn, v6: true, server: neverDials(), fail: undialled("EPRT"), fate: "closed",
			says: `^Nobody dialled {at} within`, lines: and(eprtLines, `^server: 425 `)},

		{name: "wrong_peer-pasv", cause: cause.WrongPeer, server: hasty(), fail: usurped("PASV"), fate: "closed",
			says: `^198\.51\.100\.8 dialled {at}, which waited for the client, {client}\.`,
			seen: []string{`^a SYN of 198\.51\.100\.8 to {at} was refused`}, lines: and(pasvLines, `^server: 425 `)},
		{name: "wrong_peer-epsv", cause: cause.WrongPeer, v6: true, server: hasty(), fail: usurped("EPSV"), fate: "closed",
			says: `^2001:db8:1::8 dialled {at}, which waited for the client, {client}\.`, lines: epsvLines},
		{name: "wrong_peer-relay", cause: cause.WrongPeer, keys: `data = "relay"`, server: hasty(), fail: usurped("PASV"), fate: "closed",
			says: `^198\.51\.100\.8 dialled {at}, which waited for the client, {client}\.`, lines: pasvLines},
		{name: "wrong_peer-port", cause: cause.WrongPeer, server: twoAddresses, fail: undialled("PORT"), fate: "closed",
			says: `^10\.0\.0\.99 dialled {at}, which waited for the server, {server}\.`, lines: portLines},

		{name: "late-expired", cause: cause.Late, keys: `timeouts.pinhole = "1s"`, server: hasty(), fail: func(s *scene) {
			c := s.login()
			d := s.setUp(c, "PASV")
			eventually(s.t, "the pinhole expires", func() bool { return !s.holds(d) })
			if dial(s.client, d) {
				s.t.Error("a client was let in when its pinhole was gone")
			}
			s.say(c, "RETR /zero-1K", 150, 425)
		}, fate: "expired", says: `^The client dialled {at} (9\d\dms|[\d.]+s) after the pinhole was opened, when it was gone\.`,
			seen: []string{`^a SYN of the client to {at} was refused (9\d\dms|[\d.]+s)`}, lines: pasvLines},
		{name: "late-refused", cause: cause.Late, server: hasty(), fail: func(s *scene) {
			c := s.login()
			d := s.setUp(c, "PASV")
			s.say(c, "RETR /zero-1K", 150, 425)
			if dial(s.client, d) {
				s.t.Error("a client was let in when its transfer was over")
			}
		}, fate: "closed", says: `^The client dialled {at} [\d.]+m?s after the pinhole was opened, when it was gone\.`, lines: and(pasvLines, `^server: 425 `)},

		{name: "backend_refused-reset", cause: cause.BackendRefused, server: misleading(), fail: unanswered("PASV"), fate: "used",
			says: `^The client dialled, and the server, which had named {to}, refused the connection\.`,
			seen: []string{`^the client dialled {at}, .* it led to {to}$`, `^the server answered the SYN with a RST$`}, lines: and(pasvLines, `^server: 425 `)},
		{name: "backend_refused-epsv", cause: cause.BackendRefused, v6: true, server: misleading(), fail: unanswered("EPSV"), fate: "used",
			says: `^The client dialled, and the server, which had named {to}, refused the connection\.`, lines: epsvLines},
		{name: "backend_refused-silent", cause: cause.BackendRefused, server: misleading(), fail: dropped(unanswered("PASV")), fate: "used",
			says: `^The client dialled, and the server, which had named {to}, does not answer\.`,
			seen: []string{`^the server did not answer the SYN$`}, lines: pasvLines},
		{name: "backend_refused-relay-reset", cause: cause.BackendRefused, keys: `data = "relay"`, server: misleading(), fail: unanswered("PASV"), fate: "used",
			says: `^The client dialled, and the server, which had named {to}, refused the connection\.`, lines: pasvLines},
		{name: "backend_refused-relay-silent", cause: cause.BackendRefused, keys: "data = \"relay\"\ntimeouts.connect = \"200ms\"", server: misleading(),
			fail: dropped(unanswered("PASV")), fate: "used",
			says: `^The client dialled, and the server, which had named {to}, does not answer\.`, lines: pasvLines},
		{name: "backend_refused-relay-waits", cause: cause.BackendRefused, keys: `data = "relay"`, server: misleading(),
			fail: dropped(unanswered("PASV")), fate: "used",
			says: `^The client dialled, and the server, which had named {to}, does not answer\.`, lines: pasvLines},

		{name: "client_refused-reset", cause: cause.ClientRefused, server: hasty(), fail: unheard("PORT", false, 150, 425), fate: "used",
			says: `^The server dialled, and the client, which had named {to}, refused the connection\.`,
			seen: []string{`^the server dialled {at}, .* it led to {to}$`, `^the client answered the SYN with a RST$`}, lines: and(portLines, `^server: 425 `)},
		{name: "client_refused-eprt", cause: cause.ClientRefused, v6: true, server: hasty(), fail: unheard("EPRT", false, 150, 425), fate: "used",
			says: `^The server dialled, and the client, which had named {to}, refused the connection\.`, lines: eprtLines},
		{name: "client_refused-silent", cause: cause.ClientRefused, server: hasty(), fail: unheard("PORT", true, 150, 425), fate: "used",
			says: `^The server dialled, and the client, which had named {to}, does not answer\.`, lines: portLines},
		{name: "client_refused-relay-reset", cause: cause.ClientRefused, keys: `data = "relay"`, server: hasty(), fail: unheard("PORT", false, 150, 4), fate: "used",
			says: `^The server dialled, and the client, which had named {to}, refused the connection\.`, lines: portLines},
		{name: "client_refused-relay-silent", cause: cause.ClientRefused, keys: "data = \"relay\"\ntimeouts.connect = \"200ms\"", server: hasty(), fail: unheard("PORT", true, 150, 4), fate: "used",
			says: `^The server dialled, and the client, which had named {to}, does not answer\.`, lines: portLines},
	})
}

// dropped is another way to fail, where the server's firewall drops its data.
func dropped(fail func(*scene)) func(*scene) {
	return func(s *scene) {
		for i := range aside {
			s.drop(s.lab.Server, serverPorts+10*s.number+aside+i)
		}
		fail(s)
	}
}

// holds reports whether the kernel still has a pinhole of a data connection.
func (s *scene) holds(d *ftpc.Data) bool {
	for _, p := range s.pinholes() {
		if p.At == d.At {
			return true
		}
	}
	return false
}
