package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

// recorded returns the last lines of the only session, as "from text -> sent".
func (g *gateway) recorded() []string {
	g.t.Helper()
	s := g.session()
	s.mu.Lock()
	defer s.mu.Unlock()
	return inBrief(s.recentLines())
}

func inBrief(lines []api.Line) []string {
	var all []string
	for _, l := range lines {
		text := l.From + " " + l.Text
		if l.Sent != "" {
			text += " -> " + l.Sent
		}
		all = append(all, strings.TrimSpace(text))
	}
	return all
}

// wantRecorded compares what the session has recorded since its login.
func (d *dialogue) wantRecorded(want ...string) {
	d.t.Helper()
	d.eventually("the last line is recorded", func() bool { return slices.Contains(d.recorded(), want[len(want)-1]) })
	got := d.recorded()
	login := []string{"server 220 ready", "client USER anna", "server 331 password", "client PASS ****", "server 230 logged in"}
	if diff := cmp.Diff(slices.Concat(login, want), got); diff != "" {
		d.t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRecordOfRewrittenLines(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.reply("150 here it comes", "226 done")
	d.client.send("PORT " + tuple(netip.MustParseAddrPort(clientAddr+":40000")))
	told := d.server.line()
	d.reply("200 PORT command successful")
	d.wantRecorded(
		"client PASV",
		"server 227 Entering Passive Mode (127,0,0,3,7,208). -> 227 Entering Passive Mode (127,0,0,2,238,72).",
		"client RETR a", "server 150 here it comes", "server 226 done",
		"client PORT 127,0,0,1,156,64 -> "+told, "server 200 PORT command successful",
	)
}

// What the gateway says by itself stands where the client reads it.
func TestRecordOfTheGatewaysOwnLines(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.refused("AUTH TLS", "534 TLS is refused by the gateway (tls.mode = \"refuse\")")
	d.command("STAT")
	d.client.send("LPSV") // its answer waits for that to STAT
	d.eventually("it is judged", func() bool { return slices.Contains(d.recorded(), "client LPSV -> [not passed on]") })
	d.server.send("211-status", " all is well", " and more", "211 end")
	d.client.want("211-status", " all is well", " and more", "211 end", "502 Not supported by the gateway: use EPSV, PASV, EPRT or PORT")
	d.command("FEAT")
	d.server.send("211-Features:", " AUTH TLS", " SIZE", "211 End")
	d.client.want("211-Features:", " SIZE", " EPRT", " EPSV", "211 End")
	d.wantRecorded(
		"client AUTH TLS -> [not passed on]", "gateway 534 TLS is refused by the gateway (tls.mode = \"refuse\")",
		"client STAT", "client LPSV -> [not passed on]", "server 211-status", "server [2 lines]", "server 211 end",
		"gateway 502 Not supported by the gateway: use EPSV, PASV, EPRT or PORT",
		"client FEAT", "server 211-Features:", "server [2 lines]", "gateway  EPRT", "gateway  EPSV", "server 211 End",
	)
}

// A reply that becomes another one, since a pinhole could not be had.
func TestRecordOfARefusal(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.firewall.hook(&d.firewall.onOpen, func(nft.Pinhole) error { return nft.ErrFull })
	d.command("PASV")
	d.server.send("227-Entering", "227 Entering Passive Mode (127,0,0,3,7,208).")
	d.client.want(noPinhole)
	d.wantRecorded(
		"client PASV", "server 227-Entering -> [not passed on]",
		"server 227 Entering Passive Mode (127,0,0,3,7,208). -> "+noPinhole,
	)
}

// The last word is in the record: who asks why a session ended finds it.
func TestRecordOfTheEnd(t *testing.T) {
	d := newGateway(t).loggedIn()
	s := d.session()
	d.server.Close()
	d.client.want(serverGone)
	d.client.Close()
	d.wantEnded(serverClosed)
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.recentLines()
	if got := inBrief(lines); got[len(got)-1] != "gateway "+serverGone {
		t.Errorf("the last line is %q", got[len(got)-1])
	}
	if at := lines[len(lines)-1].Time; time.Since(at) > patience || at.After(time.Now()) {
		t.Errorf("the last line is of %v", at)
	}
}

// Hostile lines: nothing in the record looks like something else, and however
// much is said, little is kept.
func TestRecordOfHostileLines(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("CWD \x1b]0;<script>\x07" + strings.Repeat("\xff\xff", 500))
	d.reply("550 \x1b[2J" + strings.Repeat("x", 9000))
	d.client.send(" PASS s3cret")
	d.client.want("500 Not an FTP command")
	d.wantRecorded(
		`client CWD \x1b]0;<script>\x07`+strings.Repeat(`\xff`, 44)+"…",
		`server 550 \x1b[2J`+strings.Repeat("x", 189)+"…",
		"client [malformed line, 14 bytes] -> [not passed on]", "gateway 500 Not an FTP command",
	)
}

// A session that has logged in and does nothing keeps little.
func TestRecordIsSmall(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("SYST")
	d.reply("215 UNIX Type: L8")
	d.command("PWD")
	d.reply("257 \"/\" is the current directory")
	d.command("TYPE I")
	d.reply("200 Switching to Binary mode.")
	d.eventually("all is recorded", func() bool { return len(d.recorded()) == 11 })
	s := d.session()
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := cap(s.lines.entries); n > 512 {
		t.Errorf("a session that has hardly begun keeps %d bytes", n)
	}
}

// With explicit = true a client may say anything before there is a server.
func TestRecordOfTheNamingOfAServer(t *testing.T) {
	g := newForward(t, func(_ *Settings, s *Service) { s.Explicit = true })
	g.redirect(netip.MustParseAddrPort(g.at()))
	c := g.dial(clientAddr)
	greeting, first, syntax := strings.TrimSpace(explicitGreeting), strings.TrimSpace(explicitFirst), strings.TrimSpace(explicitSyntax)
	c.want(greeting)
	c.send("PASS s3cret", "s3cret", " s3cret", "USER anna")
	c.want(first, first, first, syntax)
	server := g.backend.Addr().String()
	c.send("USER anna@" + server)
	d := &dialogue{g, c, g.accept()}
	d.server.send("220 ready")
	d.server.want("USER anna")
	d.reply("331 password")
	want := []string{
		"gateway " + greeting,
		"client PASS **** -> [not passed on]", "gateway " + first,
		"client [unknown command, 8 bytes] -> [not passed on]", "gateway " + first,
		"client [malformed line, 9 bytes] -> [not passed on]", "gateway " + first,
		"client USER anna -> [not passed on]", "gateway " + syntax,
		"client USER anna@" + server + " -> [not passed on]",
		"server 220 ready -> [not passed on]", "gateway USER anna", "server 331 password",
	}
	d.eventually("the last line is recorded", func() bool { return len(d.recorded()) == len(want) })
	if diff := cmp.Diff(want, d.recorded()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRelated(t *testing.T) {
	for name, tt := range map[string]struct{ line, out, own, sent, behind string }{
		"as it came":            {"200 a\r\n", "200 a\r\n", "", "200 a\r\n", ""},
		"kept":                  {"200 a\r\n", "", "", "", ""},
		"something before":      {"200 a\r\n", "534 b\r\n200 a\r\n", "534 b\r\n", "200 a\r\n", ""},
		"something behind":      {"200 a\r\n", "200 a\r\n534 b\r\n", "", "200 a\r\n", "534 b\r\n"},
		"another one":           {"226 a\r\n", "426 b\r\n", "", "426 b\r\n", ""},
		"another one of a kind": {"227 a\r\n", "534 b\r\n227 c\r\n502 d\r\n", "534 b\r\n", "227 c\r\n", "502 d\r\n"},
		"a piece":               {"200 a", "200 a", "", "200 a", ""},
	} {
		own, sent, behind := related([]byte(tt.line), []byte(tt.out))
		if string(own) != tt.own || string(sent) != tt.sent || string(behind) != tt.behind {
			t.Errorf("%s: %q, %q, %q", name, own, sent, behind)
		}
	}
}

// Of a line that comes in pieces the beginning is kept, and its reply ends.
func TestRecordOfPieces(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("STAT")
	d.reply("211-"+strings.Repeat("x", 2*alg.MaxReply), "211 end")
	d.command("NOOP")
	d.reply("200 ok")
	d.wantRecorded("client STAT", "server 211-"+strings.Repeat("x", 196)+"…", "server 211 end", "client NOOP", "server 200 ok")
}
