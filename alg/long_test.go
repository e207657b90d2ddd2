package alg

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// loggedIn returns a player whose client has logged in.
func loggedIn(t *testing.T) *player {
	t.Helper()
	p := newPlayer(Config{Passive: true, Active: true})
	p.play(t, "login")
	return p
}

// play plays an event and returns what the machine did with it.
func (p *player) play(t *testing.T, event string) []string {
	t.Helper()
	did, err := p.event(event)
	if err != nil {
		t.Fatalf("%q: %v", event, err)
	}
	return did
}

// send sends bytes that no script should hold.
func (p *player) send(client bool, data string) []string {
	p.did = nil
	p.feed(client, []byte(data))
	return p.did
}

// want compares what the machine did with what it should have done.
func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("the machine did\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// A command longer than the limit is refused as a whole and the next one read,
// wherever its CR and LF fall (edge 7).
func TestLongCommand(t *testing.T) {
	for _, length := range []int{MaxCommand + 1, MaxCommand + 2, MaxCommand + 3, 2 * MaxCommand, 2*MaxCommand + 1, 10 * MaxCommand} {
		p := loggedIn(t)
		want(t, p.send(true, "CWD "+strings.Repeat("x", length-6)+"\r\nNOOP\r\n"),
			"< 500 Command line too long", "refused line_too_long", "> NOOP")
	}
	p := loggedIn(t)
	path := strings.Repeat("x", MaxCommand-6)
	want(t, p.send(true, "CWD "+path+"\r\n"), "> CWD "+path)

	// A verb behind the border of a piece is no command.
	p = loggedIn(t)
	want(t, p.send(true, strings.Repeat("x", MaxCommand)+"PORT 198,51,100,7,8,1\r\n"),
		"< 500 Command line too long", "refused line_too_long")

	// Neither is it another protocol's first line.
	p = newPlayer(Config{Passive: true, Active: true})
	p.play(t, "S 220 ready")
	want(t, p.send(true, strings.Repeat("x", MaxCommand)+"GET / HTTP/1.1\r\n"),
		"< 500 Command line too long", "refused line_too_long")

	// Too many of them end the session.
	p = loggedIn(t)
	var did []string
	for range maxErrors + 1 {
		did = p.send(true, strings.Repeat("x", MaxCommand)+"\r\n")
	}
	want(t, did, `< "500 Command line too long\r\n421 Too many errors: closing the control connection\r\n"`,
		"refused line_too_long", "end too_many_errors")
}

// A reply line longer than the limit passes in pieces, unchanged; one of a 227
// cannot be read and is refused. What follows is read as ever (edge 8).
func TestLongReply(t *testing.T) {
	text := strings.Repeat("x", 3*MaxReply)
	for _, reply := range []string{"257 \"" + text + "\"\r\n", "214-Help\r\n" + text + "\r\n214 " + text + "\r\n", "257 " + text[:MaxReply-5] + "\r\n"} {
		p := loggedIn(t)
		p.play(t, "C PWD")
		p.raw = true
		if got := strings.Join(p.send(false, reply), ""); got != reply {
			t.Errorf("of a reply of %d bytes %d came through", len(reply), len(got))
		}
		p.raw = false
		p.play(t, "C PASV")
		want(t, p.play(t, "S 227 Entering Passive Mode (10,0,0,5,195,80)"),
			"open 1 PASV 10.0.0.5:50000 at 198.51.100.1:61001", "< 227 Entering Passive Mode (198,51,100,1,238,73)")
	}
	p := loggedIn(t)
	p.play(t, "C PASV")
	want(t, p.send(false, "227 "+text+" (10,0,0,5,195,80)\r\n"),
		"< 425 The server's answer names no usable data port", "refused bad_reply")
}

// What stands behind the border of a piece begins no reply, neither within a
// reply nor in a line between replies.
func TestPieceBeginsNoReply(t *testing.T) {
	for _, before := range []string{"214-help\r\n" + strings.Repeat("x", MaxReply), strings.Repeat("x", MaxReply)} {
		p := loggedIn(t)
		p.play(t, "C PASV")
		for _, did := range p.send(false, before+"227 Entering Passive Mode (10,0,0,5,195,80)\r\n") {
			if strings.HasPrefix(did, "open") {
				t.Errorf("a piece of a line was taken for a 227: %s", did)
			}
		}
	}
}

// A 227 of several lines is held, up to a point.
func TestLongSetUpReply(t *testing.T) {
	p := loggedIn(t)
	p.play(t, "C PASV")
	want(t, p.send(false, "227-Entering\r\n"+strings.Repeat(" chatter\r\n", 5000)+"227 (10,0,0,5,195,80)\r\n"),
		"open 1 PASV 10.0.0.5:50000 at 198.51.100.1:61001", "< 227 Entering Passive Mode (198,51,100,1,238,73)")
	p.play(t, "C PASV")
	want(t, p.send(false, "227-Entering\r\n"+strings.Repeat(" chatter\r\n", 8000)),
		"< 421 Too many errors: closing the control connection", "refused bad_reply", "end too_many_errors")
}

// A banner of a hundred lines passes line by line; the greeting is its end (edge 36).
func TestLongBanner(t *testing.T) {
	p := newPlayer(Config{Passive: true})
	want(t, p.play(t, "C USER demo"), "wait")
	for i := range 100 {
		want(t, p.play(t, fmt.Sprintf("S 220-line %d", i)), fmt.Sprintf("< 220-line %d", i))
		if p.m.Greeted() {
			t.Fatalf("the greeting was over after line %d", i)
		}
	}
	want(t, p.play(t, "S 220 ready"), "< 220 ready", "> USER demo")
}

// A server that never greets: nothing of the client goes to it (edge 17).
func TestNoGreeting(t *testing.T) {
	p := newPlayer(Config{Passive: true, Active: true})
	did := p.send(true, strings.Repeat("USER demo\r\nPORT 198,51,100,7,8,1\r\n\r\n", 50))
	want(t, did, "wait")
	want(t, p.play(t, "S 120 soon"), "< 120 soon")
	if p.m.Greeted() || len(p.m.queue.cmds) != 1 {
		t.Errorf("greeted: %v, %d commands wait for a reply", p.m.Greeted(), len(p.m.queue.cmds))
	}
}

// A client that pipelines more than the queue holds is read again when replies
// come; nothing is lost, answered twice or out of order.
func TestPipelineBeyondQueue(t *testing.T) {
	p := loggedIn(t)
	var sent []string
	for i := range 3 * maxOutstanding {
		if i%3 == 1 {
			sent = append(sent, "PROT P") // the gateway answers
		} else {
			sent = append(sent, fmt.Sprintf("CWD %d", i))
		}
	}
	got := strings.Join(p.send(true, strings.Join(sent, "\r\n")+"\r\n"), "\n")
	if n := strings.Count(got, "> CWD"); n > maxOutstanding || len(p.m.queue.cmds) != maxOutstanding {
		t.Errorf("%d commands went on, %d wait for a reply", n, len(p.m.queue.cmds))
	}
	p.raw = true
	var answers strings.Builder
	for i := range 3 * maxOutstanding {
		if i%3 != 1 {
			p.did = nil
			p.feed(false, fmt.Appendf(nil, "250 %d\r\n", i))
			for _, did := range p.did {
				if !strings.HasPrefix(did, "CWD") {
					answers.WriteString(did)
				}
			}
		}
	}
	got = ""
	for i := range 3 * maxOutstanding {
		if i%3 == 1 {
			got += noProtection
		} else {
			got += fmt.Sprintf("250 %d\r\n", i)
		}
	}
	if answers.String() != got {
		t.Errorf("the replies came as\n%s\nwant\n%s", &answers, got)
	}
	if !p.m.queue.empty() {
		t.Errorf("%d commands still wait for a reply", len(p.m.queue.cmds))
	}
}

// PORT to a server that has only IPv6 becomes EPRT; a 227 that would have to
// name an IPv6 address is refused and its pinhole closed.
func TestOtherFamilyBehind(t *testing.T) {
	p := loggedIn(t)
	at := netip.MustParseAddrPort("[fd00:10::1]:20001")
	v := p.m.Client([]byte("PORT 198,51,100,7,8,1\r\n"))
	if v.Open.ID == 0 {
		t.Fatal("PORT asked for no pinhole")
	}
	if got := string(p.m.Opened(at).ToServer); got != "EPRT |2|fd00:10::1|20001|\r\n" {
		t.Errorf("the server got %q", got)
	}
	p.play(t, "S 200 ok")
	p.play(t, "C PASV")
	if v = p.m.Server([]byte("227 (10,0,0,5,195,80)\r\n")); v.Open.ID == 0 {
		t.Fatal("the 227 asked for no pinhole")
	}
	id := v.Open.ID
	v = p.m.Opened(at)
	if string(v.ToClient) != refusals[NoPinhole] || !slices.Contains(v.Close, Closing{id, Done}) {
		t.Errorf("Opened at an IPv6 address says %q and closes %v", v.ToClient, v.Close)
	}
}

// Labels are words of a closed set, each but once.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	name := func(s string) {
		if s == "" || seen[s] || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz_ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			t.Errorf("%q is empty, not new or no word", s)
		}
		seen[s] = true
	}
	for _, v := range Verbs() {
		name(v.String())
		if got, rest := parseVerb([]byte(strings.ToLower(v.String()) + " x")); v != Other && (got != v || string(rest) != " x") {
			t.Errorf("%s is read as %s and %q", v, got, rest)
		}
		if traits := v.Direction() != 0; traits != v.is(transfers) {
			t.Errorf("%s has direction %v", v, v.Direction())
		}
	}
	seen = map[string]bool{}
	for _, r := range Reasons() {
		name(r.String())
		if text := refusals[r]; r != GreetingRefused && r != Injection && (len(text) < 8 || !strings.HasSuffix(text, "\r\n") || text[0] < '4' || text[0] > '5' || text[3] != ' ') {
			t.Errorf("%s is answered %q", r, text)
		}
	}
	seen = map[string]bool{}
	for _, r := range Rewrites() {
		name(r.String())
	}
	if len(Rewrites()) != int(rewrites)-1 {
		t.Errorf("Rewrites returns %d of %d", len(Rewrites()), rewrites-1)
	}
}

// Calls without a question before them mean nothing.
func TestUnaskedAnswers(t *testing.T) {
	p := loggedIn(t)
	at := netip.MustParseAddrPort("198.51.100.1:61001")
	for name, v := range map[string]Verdict{
		"Opened": p.m.Opened(at), "Refused": p.m.Refused(NoPorts), "Client": p.m.Client(nil), "Server": p.m.Server(nil),
	} {
		if v.ToClient != nil || v.ToServer != nil || v.Open.ID != 0 || len(v.Close) > 0 {
			t.Errorf("%s says %+v", name, v)
		}
	}
}
