package e2e

import (
	"crypto/tls"
	"errors"
	"io"
	"net/netip"
	"os"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/proxy/cause"
)

// saying is a server that answers a command as it likes.
func saying(command, reply string) *ftpd.Server {
	return &ftpd.Server{Quirks: ftpd.Quirks{Says: map[string]string{command: reply}}}
}

// dialogue is a client that says lines and hears codes.
func dialogue(lines []string, codes ...int) func(*scene) {
	return func(s *scene) {
		c := s.login()
		for i, line := range lines {
			s.say(c, line, codes[i])
		}
	}
}

// TestCausesOfRefusals is transfers that somebody refuses, before there is data.
func TestCausesOfRefusals(t *testing.T) {
	act(t, newWorld(t), []failing{
		{name: "backend_bad_address-none", cause: cause.BackendBadAddress, server: saying("PASV", "227 Entering Passive Mode."),
			fail: dialogue([]string{"PASV"}, 425),
			says: `^The server {server} answered with no data address`, seen: []string{`^the gateway refused: bad_reply$`},
			lines: []string{`^client: PASV$`, `^server: 227 Entering Passive Mode\. => 425 `}},
		{name: "backend_bad_address-low", cause: cause.BackendBadAddress, server: saying("PASV", "227 Entering Passive Mode (10,0,0,5,0,80)"),
			fail: dialogue([]string{"PASV"}, 425), says: `^The server {server} answered with no data address`, lines: []string{`^client: PASV$`, `^server: 227 .* => 425 `}},
		{name: "backend_bad_address-epsv", cause: cause.BackendBadAddress, v6: true, server: saying("EPSV", "229 Entering Extended Passive Mode (|||80|)"),
			fail: dialogue([]string{"EPSV"}, 425), says: `^The server {server} answered with no data address`, lines: []string{`^client: EPSV$`, `^server: 229 .* => 425 `}},
		{name: "backend_bad_address-strict", cause: cause.BackendBadAddress, keys: `strict = true`, server: &ftpd.Server{Advertise: netip.MustParseAddr("192.0.2.9")},
			fail: dialogue([]string{"PASV"}, 425), says: `^The server {server} answered with no data address`, lines: []string{`^client: PASV$`, `^server: 227 .*\(192,0,2,9,.* => 425 `}},

		{name: "bounce-address", cause: cause.Bounce, fail: dialogue([]string{"PORT 192,0,2,9,10,0"}, 504),
			says: `^The client named a data address that is not its own, {client}`, lines: []string{`^client: PORT 192,0,2,9,10,0 => \[not passed on\]`, `^gateway: 504 `}},
		{name: "bounce-eprt", cause: cause.Bounce, v6: true, fail: dialogue([]string{"EPRT |2|2001:db8:9::9|4444|"}, 504),
			says: `^The client named a data address that is not its own, {client}`, lines: []string{`^client: EPRT `, `^gateway: 504 `}},
		{name: "bounce-port", cause: cause.Bounce, fail: func(s *scene) {
			s.say(s.login(), ftpc.Argument("PORT", netip.AddrPortFrom(s.client.addr, 25)), 504)
		}, says: `^The client named a data port below 1024`, lines: []string{`^client: PORT .*,0,25 => \[not passed on\]`, `^gateway: 504 `}},
		{name: "bounce-command", cause: cause.Bounce, times: 2, fail: dialogue([]string{"PORT 192,0,2,9,10,0", "RETR /zero-1K"}, 504, 4),
			says: `^The client named a data address that is not its own`, lines: []string{`^client: PORT `, `^gateway: 504 `, `^client: RETR `}},

		{name: "ports_exhausted", cause: cause.PortsExhausted, keys: `ports = "63000-63000"`, fail: func(s *scene) {
			s.setUp(s.login(), "PASV")
			s.say(s.login(), "PASV", 425)
		}, says: `^No port of the service's range was free`, lines: []string{`^client: PASV$`, `^server: 227 .* => 425 `}},
		{name: "ports_exhausted-active", cause: cause.PortsExhausted, keys: `active_ports = "23000-23000"`, fail: func(s *scene) {
			s.setUp(s.login(), "PORT")
			s.say(s.login(), ftpc.Argument("PORT", netip.AddrPortFrom(s.client.addr, clientPorts)), 425)
		}, says: `^No port of the service's range was free`, seen: []string{`^the final reply was 425$`},
			lines: []string{`^client: PORT .* => \[not passed on\]`, `^gateway: 425 `}},
		{name: "ports_exhausted-setups", cause: cause.PortsExhausted, fail: func(s *scene) {
			c := s.login()
			if err := c.Send("PASV", "PASV", "PASV", "PASV", "PASV"); err != nil {
				s.t.Fatal(err)
			}
			s.hear(c, 227, 227, 227, 227, 425)
		}, says: `^The client set up more data connections at once than a session may have`, lines: []string{`^client: PASV `}},

		{name: "busy_port", cause: cause.BusyPort, fail: func(s *scene) {
			busy := s.login()
			d := s.setUp(busy, "PORT")
			s.say(busy, "RETR /zero-1G", 150)
			conn, err := d.Open()
			if err != nil {
				s.t.Fatal(err)
			}
			s.t.Cleanup(func() { conn.Close() })
			s.say(s.login(), ftpc.Argument("PORT", netip.MustParseAddrPort(d.Listen.Addr().String())), 425)
		}, says: `^The client named a data port that still has a connection`, seen: []string{`^the final reply was 425$`},
			lines: []string{`^client: PORT .* => \[not passed on\]`, `^gateway: 425 `}},

		{name: "no_data_port", cause: cause.NoDataPort, fail: dialogue([]string{"RETR /zero-1K"}, 425),
			says: `^The client sent a data command without PASV`, lines: []string{`^client: RETR .* => \[not passed on\]`, `^gateway: 425 `}},

		{name: "server_error", cause: cause.ServerError, fail: func(s *scene) {
			c := s.login()
			s.setUp(c, "PASV")
			s.say(c, "RETR /nothing", 550)
		}, fate: "closed", says: `^The server said no: "550 No such file\."`, lines: and(pasvLines, `^server: 550 `)},
	})
}

// secured is a client with TLS, logged in, whose data is protected.
func (s *scene) secured() (c *ftpc.Client, config *tls.Config) {
	s.t.Helper()
	c, err := ftpc.Dial(s.client, s.at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	config = trusting(s.outside, lab.WanV4.String())
	if err := c.Auth(config, ""); err != nil {
		s.t.Fatal(err)
	}
	s.loginOn(c)
	if err := c.Protect(); err != nil {
		s.t.Fatal(err)
	}
	return c, config
}

// What the dialogue shows of a set-up within TLS.
var tlsLines = []string{`^client: AUTH TLS`, `^client: PROT P`, `^client: PASV$`, `^server: 227 .*\(10,0,0,5,\d+,\d+\)\. => 227 .*\(198,51,100,1,\d+,\d+\)`}

// TestCausesOfTLS is data connections whose TLS somebody does not take.
func TestCausesOfTLS(t *testing.T) {
	act(t, newWorld(t), []failing{
		{name: "tls_not_resumed-client", cause: cause.TLSNotResumed, keys: "{terminate}", fail: func(s *scene) {
			c, config := s.secured()
			c.DataTLS = config // a session of its own
			s.refusedTLS(c)
		}, fate: "used", says: `^The client's data connection did not resume the TLS session of its control connection`,
			seen: []string{`^the gateway refused: tls_not_resumed$`}, lines: and(tlsLines, `^client: RETR /`)},
		{name: "tls_not_resumed-ftplib", cause: cause.TLSNotResumed, keys: "{terminate}", fail: func(s *scene) {
			s.client.addr = lab.ClientV4
			_, transcript, err := s.tree.List(s.t.Context(), s.lab.Client, debian.Job{
				Client: "ftplib", Mode: debian.PASV, Server: netip.MustParseAddrPort(s.at), Dir: s.t.TempDir(),
				TLS: debian.Explicit, PKI: s.certificates.outside, Anew: true, Version: "1.3",
			})
			if err == nil {
				s.t.Errorf("it got a listing:\n%s", transcript)
			}
		}, fate: "used", says: `^The client's data connection did not resume`, lines: tlsLines},
		{name: "tls_not_resumed-server", cause: cause.TLSNotResumed, keys: "{terminate}{explicit}", server: &ftpd.Server{RequireResumption: true}, fail: func(s *scene) {
			c, _ := s.secured()
			s.refusedTLS(c)
		}, fate: "used", says: `^The server refused the data connection, because its TLS is not the control connection's: "522 `, lines: and(tlsLines, `^server: 522 `)},
		{name: "tls_not_resumed-vsftpd", cause: cause.TLSNotResumed, keys: "{terminate}",
			server: saying("RETR", "522 SSL connection failed: session reuse required: see require_ssl_reuse option in vsftpd.conf man page"),
			fail:   func(s *scene) { c, _ := s.secured(); s.setUp(c, "PASV"); s.say(c, "RETR /zero-1K", 522) },
			fate:   "closed", says: `^The server refused the data connection, because its TLS is not .*: "522 SSL connection failed: session reuse required`, lines: tlsLines},

		{name: "data_tls-download", cause: cause.DataTLS, keys: "{terminate}", fail: func(s *scene) { s.inClear("RETR /zero-1K") },
			fate: "used", says: `^The TLS handshake on the client's data connection failed`, seen: []string{`^the gateway refused: data_tls$`},
			lines: and(tlsLines, `^client: RETR /`)},
		{name: "data_tls-upload", cause: cause.DataTLS, keys: "{terminate}", fail: func(s *scene) { s.inClear("STOR /planted") },
			fate: "used", says: `^The TLS handshake on the client's data connection failed`, lines: and(tlsLines, `^client: STOR /`)},
	})
}

// refusedTLS is a download whose data connection is ended at once, perhaps before
// the client knows that it is there.
func (s *scene) refusedTLS(c *ftpc.Client) {
	s.t.Helper()
	d := s.setUp(c, "PASV")
	if err := c.Send("RETR /zero-1K"); err != nil {
		s.t.Fatal(err)
	}
	if conn, err := d.Open(); err == nil {
		_ = conn.SetDeadline(time.Now().Add(c.Timeout / 2)) // it must not come to that
		if n, err := io.Copy(io.Discard, conn); n > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			s.t.Errorf("%d bytes came, %v, want an end and no data", n, err)
		}
		conn.Close()
	}
	s.hear(c, 150, 522)
}

// inClear transfers data in clear behind PROT P.
func (s *scene) inClear(command string) {
	s.t.Helper()
	c, _ := s.secured()
	c.DataTLS = nil
	if err := c.Upload(s.setUp(c, "PASV"), command, []byte("in clear, whatever PROT P said\r\n")); err == nil {
		s.t.Error("data in clear passed for protected")
	}
}
