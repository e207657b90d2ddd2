package e2e

import (
	"io"
	"net"
	"slices"
	"strconv"
	"testing"

	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/proxy/cause"
)

// relays is the key that has the gateway carry data.
const relays = "data = \"relay\"\n"

// begin begins a transfer in which some bytes have been carried.
func (s *scene) begin(mode, command string) (c *ftpc.Client, data *net.TCPConn) {
	s.t.Helper()
	c = s.login()
	d := s.setUp(c, mode)
	if err := c.Send(command); err != nil {
		s.t.Fatal(err)
	}
	if !d.At.IsValid() { // who is dialled says so before
		s.hear(c, 150)
	}
	conn, err := d.Open()
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if d.At.IsValid() {
		s.hear(c, 150)
	}
	if command == upload {
		_, err = conn.Write(make([]byte, some))
	} else {
		_, err = io.CopyN(io.Discard, conn, some)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return c, conn.(*net.TCPConn)
}

const (
	some     = 100_000
	download = "RETR /zero-1G"
	upload   = "STOR /up"
)

// aborting is a client that changes its mind.
func aborting(mode, command string) func(*scene) {
	return func(s *scene) {
		c, _ := s.begin(mode, command)
		s.say(c, "ABOR", 426, 226)
	}
}

// leaving is a client that goes.
func leaving(s *scene) {
	c, _ := s.begin("PASV", download)
	c.Close()
}

// resetting is a client whose data connection breaks.
func resetting(mode, command string) func(*scene) {
	return func(s *scene) {
		c, data := s.begin(mode, command)
		if err := data.SetLinger(0); err != nil {
			s.t.Fatal(err)
		}
		data.Close()
		s.hear(c, 426)
	}
}

// stalling is a transfer in which nothing moves any more, and nobody says so.
func stalling(mode, command string) func(*scene) {
	return func(s *scene) {
		c, _ := s.begin(mode, command)
		s.hear(c, 421)
		if r, err := c.Read(); err == nil {
			s.t.Errorf("behind the 421 comes %v", r)
		}
		eventually(s.t, "the connection is cut", func() bool { return !s.flowing() })
	}
}

// flowing reports whether conntrack has a data connection of the scene's client.
func (s *scene) flowing() bool {
	for _, f := range s.flows() {
		if f.Orig.Src.Addr() == s.client.addr || f.Reply.Src.Addr() == s.client.addr {
			return true
		}
	}
	return false
}

// stops is a server that sends some bytes of a file and then no more.
func stops() *ftpd.Server { return &ftpd.Server{Quirks: ftpd.Quirks{StopsAfter: some}} }

const stallSoon = "timeouts.stalled = \"1s\"\n"

// TestCausesOfBrokenTransfers is transfers that fail with data on the way.
func TestCausesOfBrokenTransfers(t *testing.T) {
	carried := []string{`^the connection was established and carried [1-9]\d+ bytes$`}
	stalled := `^Nothing moved on the data connection for 1s, so the gateway ended it`
	act(t, newWorld(t), []failing{
		{name: "aborted-abor", cause: cause.Aborted, fail: aborting("PASV", download), fate: "used",
			says: `^The client aborted the transfer \(ABOR\) after [1-9]\d+ bytes\.`, seen: slices.Concat(carried, []string{`^the client sent ABOR$`}),
			lines: and(pasvLines, `^client: ABOR`, `^server: 426 `)},
		{name: "aborted-eprt", cause: cause.Aborted, v6: true, fail: aborting("EPRT", download), fate: "used",
			says: `^The client aborted the transfer \(ABOR\) after [1-9]\d+ bytes\.`, lines: and(eprtLines, `^client: ABOR`)},
		{name: "aborted-relay", cause: cause.Aborted, keys: relays, fail: aborting("PASV", download), fate: "used",
			says: `^The client aborted the transfer \(ABOR\) after [1-9]\d+ bytes\.`, lines: and(pasvLines, `^client: ABOR`)},
		{name: "aborted-undialled", cause: cause.Aborted, fail: func(s *scene) {
			c := s.login()
			s.setUp(c, "PASV")
			s.say(c, download, 150)
			s.say(c, "ABOR", 426, 226)
		}, fate: "closed", says: `^The client aborted the transfer \(ABOR\) after 0 bytes\.`, lines: and(pasvLines, `^client: ABOR`)},
		{name: "aborted-closed", cause: cause.Aborted, fail: leaving, fate: "used",
			says: `^The client ended the session before the transfer's final reply, after [1-9]\d+ bytes\.`, lines: pasvLines},
		{name: "aborted-closed-relay", cause: cause.Aborted, keys: relays, fail: leaving, fate: "used",
			says: `^The client ended the session before the transfer's final reply, after [1-9]\d+ bytes\.`, lines: pasvLines},
		{name: "aborted-killed", cause: cause.Aborted, fail: func(s *scene) {
			s.begin("PASV", download)
			id := strconv.FormatUint(s.records("session_start")[0].Session, 10)
			if out, status := s.run("kill", "--socket", s.socket, id); status != 0 {
				s.t.Errorf("kill %s: status %d: %s", id, status, out)
			}
		}, fate: "used", says: `^An administrator ended the session before the transfer's final reply, after [1-9]\d+ bytes\.`,
			seen: []string{`^the session ended first: killed$`}, lines: pasvLines},

		{name: "data_broken", cause: cause.DataBroken, fail: resetting("PASV", download), fate: "used",
			says: `^The server says that the data connection broke, after [1-9]\d+ bytes: "426 `, seen: carried, lines: and(pasvLines, `^server: 426 `)},
		{name: "data_broken-upload", cause: cause.DataBroken, v6: true, fail: resetting("EPSV", upload), fate: "used",
			says: `^The server says that the data connection broke, after [1-9]\d+ bytes: "426 `, lines: and(epsvLines[:2], `^client: STOR `, `^server: 426 `)},
		{name: "data_broken-relay", cause: cause.DataBroken, keys: relays, fail: resetting("PASV", download), fate: "used",
			says: `broke`, seen: carried, lines: and(pasvLines, `^server: 426 `)},

		{name: "stalled-server", cause: cause.Stalled, keys: stallSoon, server: stops(), fail: stalling("PASV", download), fate: "used",
			says: stalled, seen: []string{`carried 100\d{3} bytes`, `^the session ended first: timeout$`}, lines: and(pasvLines, `^gateway: 421 `)},
		{name: "stalled-client", cause: cause.Stalled, keys: stallSoon, fail: stalling("PASV", download), fate: "used",
			says: stalled, seen: carried, lines: and(pasvLines, `^gateway: 421 `)},
		{name: "stalled-upload", cause: cause.Stalled, keys: stallSoon, v6: true, fail: stalling("EPRT", upload), fate: "used",
			says: stalled, seen: carried, lines: and(eprtLines[:2], `^client: STOR `, `^gateway: 421 `)},
		{name: "stalled-server-relay", cause: cause.Stalled, keys: stallSoon + relays, server: stops(), fail: stalling("PASV", download), fate: "used",
			says: stalled, seen: []string{`carried 100000 bytes`}, lines: and(pasvLines, `^gateway: 421 `)},
		{name: "stalled-client-relay", cause: cause.Stalled, keys: stallSoon + relays, fail: stalling("PASV", download), fate: "used",
			says: stalled, seen: carried, lines: and(pasvLines, `^gateway: 421 `)},
	})
}
