package alg

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestPipelining lets a client that pipelines as it likes talk through a machine
// to a server that answers in order. Each command must get exactly one final
// reply, its own, in order, whoever gives it; and of the pinholes none may stay
// but the last.
func TestPipelining(t *testing.T) {
	var silent [2]int
	for seed := range uint64(150) {
		d := &dialogue{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 1))}
		d.run()
		if t.Failed() {
			return
		}
		if slices.Contains(d.silent, true) {
			silent[seed&1]++
		}
	}
	if silent[0] < 5 || silent[1] < 70 {
		t.Errorf("in %v dialogues, of 75 each, the client did not get a reply that was not for it", silent)
	}
}

// dialogue is a model client and a model server on both sides of a player.
type dialogue struct {
	t    *testing.T
	seed uint64
	rnd  *rand.Rand
	p    *player
	live map[ID]bool // pinholes that are open

	sent     []said   // the client's commands
	errors   int      // how many of them are no FTP
	replies  []string // the final replies that it got
	toClient []byte   // what it has not yet read as replies
	received []string // the server's commands, by the tag that its replies carry
	answered int      // how many of them have had their final reply
	started  bool     // the next has had its 1yz
	silent   []bool   // whose reply the client does not get: the gateway's NOOP, or a refusal with another command in its place
}

// said is a command of the model client.
type said struct {
	line string // %d is its number
	kind int    // whose answer it gets
	code string // of a refusal that is sure
}

var clientSays = []said{
	{"NOOP", served, ""}, {"CWD %d", served, ""}, {"REST %d", served, ""}, {"FEAT", served, ""}, {"STAT %d", served, ""}, {"XYZ %d", served, ""},
	{"MODE S", served, ""}, {"AUTH TLS", refused, "534"}, {"PROT P", refused, "503"}, {"LPRT %d", refused, "502"}, {" NOOP", refused, "500"},
	{"CWD a\x00b", refused, "500"}, {"PORT 10,0,0,9,8,%d", refused, "5"}, {"EPSV x", refused, "501"}, {"EPRT |3|x|%d|", refused, "522"},
	{"PASV", either, ""}, {"EPSV", either, ""}, {"PASV", either, ""}, {"EPSV", either, ""}, {"PORT 198,51,100,7,8,1", either, ""},
	{"EPRT |1|198.51.100.7|2049|", either, ""}, {"RETR %d", either, ""}, {"STOR %d", either, ""}, {"LIST", either, ""}, {"RETR %d", either, ""},
}

const (
	served  = iota // by the server
	refused        // by the gateway
	either
)

func (d *dialogue) run() {
	cfg := Config{Passive: true, Active: true}
	if d.seed&1 == 1 { // the gateway translates, and sends a NOOP where it answers by itself
		cfg.Client, cfg.Server = netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("fd00::5")
	}
	d.p = newPlayer(cfg)
	d.p.play(d.t, "login")
	d.live = map[ID]bool{}
	w := &witness{t: d.t, p: d.p, loggedIn: true, opened: map[ID]bool{}}
	d.p.raw, d.p.segment = true, d.rnd.IntN(40)
	d.p.check = func(v Verdict) {
		w.see(v)
		d.see(v)
	}
	const commands = 200
	for len(d.sent) < commands || d.answered < len(d.received) || len(d.p.held) > 0 {
		if len(d.sent) < commands && d.rnd.IntN(5) > int(d.seed%4) {
			d.clientSpeaks()
		} else {
			d.serverSpeaks()
		}
		if d.p.over || d.t.Failed() {
			d.t.Fatalf("seed %d: over after %d commands", d.seed, len(d.sent))
		}
	}
	d.readReplies()
	d.judge()
	if len(d.live) > 1 {
		d.t.Errorf("seed %d: %d pinholes are open when all is answered", d.seed, len(d.live))
	}
}

// see notes the effects of a verdict.
func (d *dialogue) see(v Verdict) {
	if v.Open.ID != 0 {
		d.live[v.Open.ID] = true
		if d.rnd.IntN(10) == 0 {
			d.p.refuse = NoPinhole
			delete(d.live, v.Open.ID)
		}
	}
	for _, c := range v.Close {
		delete(d.live, c.ID)
	}
	if len(v.ToServer) > 0 {
		d.received = append(d.received, strings.TrimSuffix(string(v.ToServer), "\r\n"))
	}
	d.toClient = append(d.toClient, v.ToClient...)
	if n := len(d.live); n > 1+maxSetUps+len(d.p.m.queue.cmds) {
		d.t.Errorf("seed %d: %d pinholes are open", d.seed, n)
	}
}

// clientSpeaks sends one command or several at once. It makes no more errors
// than a session survives.
func (d *dialogue) clientSpeaks() {
	var batch bytes.Buffer
	for range 1 + d.rnd.IntN(1+int(d.seed%8)) {
		say := clientSays[d.rnd.IntN(len(clientSays))]
		if say.code == "500" {
			if d.errors++; d.errors > maxErrors {
				continue
			}
		}
		if strings.Contains(say.line, "%d") {
			say.line = fmt.Sprintf(say.line, 1+len(d.sent)%255)
		}
		d.sent = append(d.sent, say)
		batch.WriteString(say.line + "\r\n")
	}
	d.p.feed(true, batch.Bytes())
}

// serverSpeaks answers the oldest command, with its tag in the text.
func (d *dialogue) serverSpeaks() {
	if d.answered == len(d.received) {
		return
	}
	verb, _ := parseVerb([]byte(d.received[d.answered]))
	tag := fmt.Sprintf("#%d#", d.answered)
	reply := "200 ok " + tag + "\r\n"
	switch fail := d.rnd.IntN(6) == 0; {
	case verb.is(transfers) && !d.started && !fail:
		d.started = true
		d.p.feed(false, []byte("150-wait\r\n227 (10,0,0,9,8,1)\r\n150 go\r\n"))
		return
	case verb.is(transfers) && fail:
		reply = "550-no\r\n226 no\r\n550 no " + tag + "\r\n"
	case verb.is(transfers):
		reply = "226 done " + tag + "\r\n"
	case verb == REST:
		reply = "350 go on " + tag + "\r\n"
	case fail && !verb.is(setsUpPassive) || d.rnd.IntN(20) == 0:
		reply = "502 no " + tag + "\r\n"
	case verb == FEAT:
		reply = "211-f\r\n AUTH TLS\r\n SIZE\r\n211 end " + tag + "\r\n"
	case verb == STAT:
		reply = "213-s\r\n227 (10,0,0,9,8,1)\r\n 213 x\r\n213 end " + tag + "\r\n"
	case verb == PASV:
		reply = "227 " + tag + " (10,0,0,5,195,80)\r\n"
	case verb == EPSV:
		reply = "229 " + tag + " (|||50000|)\r\n"
	}
	d.answered++
	d.started = false
	before := len(d.toClient)
	d.p.feed(false, []byte(reply))
	d.silent = append(d.silent, !bytes.Contains(d.toClient[before:], []byte(tag)) && (verb == NOOP || verb.is(setsUp) && reply[0] == '5'))
}

// readReplies reads what came to the client as replies (RFC 959 §4.2).
func (d *dialogue) readReplies() {
	code := ""
	for line := range strings.Lines(string(d.toClient)) {
		switch {
		case code == "" && len(line) > 3 && line[3] == '-':
			code = line[:3]
		case code != "" && !strings.HasPrefix(line, code+" "):
		default:
			code = ""
			if line[0] != '1' {
				d.replies = append(d.replies, line)
			}
		}
	}
}

// judge compares the replies with the commands.
func (d *dialogue) judge() {
	if len(d.replies) != len(d.sent) {
		d.t.Errorf("seed %d: %d replies to %d commands", d.seed, len(d.replies), len(d.sent))
		return
	}
	next := 0 // the tag of the server's next reply
	for i, reply := range d.replies {
		for next < len(d.silent) && d.silent[next] {
			next++
		}
		verb, _ := parseVerb([]byte(d.sent[i].line))
		_, tagged, byServer := strings.Cut(reply, "#")
		if !byServer && verb.is(setsUpPassive) && (reply == refusals[BadReply] || reply == refusals[NoPinhole]) {
			next++ // the server's reply could not be used
			continue
		}
		if !byServer && verb.is(setsUpPassive) && reply[0] == '2' && next < len(d.received) && d.received[next] == map[Verb]string{PASV: "EPSV", EPSV: "PASV"}[verb] {
			next++ // it was of the other kind, so its text is the gateway's
			continue
		}
		if verb == FEAT && reply == "211 End\r\n" {
			next++ // the server does not know it, the gateway has features
			continue
		}
		if why := d.sent[i].wrong(byServer, reply); why != "" {
			d.t.Errorf("seed %d: %q, command %d, got %q: %s", d.seed, d.sent[i].line, i, reply, why)
			return
		}
		if !byServer {
			continue
		}
		got, _ := parseVerb([]byte(d.received[next]))
		if tag, _, _ := strings.Cut(tagged, "#"); tag != fmt.Sprint(next) || !alike(got, verb) {
			d.t.Errorf("seed %d: %q, command %d, got %q, want the reply to %q with tag %d", d.seed, d.sent[i].line, i, reply, d.received[next], next)
			return
		}
		next++
	}
	for next < len(d.silent) && d.silent[next] {
		next++
	}
	if next != len(d.received) {
		d.t.Errorf("seed %d: %d replies of the server reached the client, of %d", d.seed, next, len(d.received))
	}
}

// alike reports whether the server may have got one command for the other.
func alike(got, sent Verb) bool {
	return got == sent || got.is(setsUpPassive) && sent.is(setsUpPassive) || got.is(setsUpActive) && sent.is(setsUpActive)
}

// wrong says what is wrong with who answered a command, if anything.
func (c said) wrong(byServer bool, reply string) string {
	switch {
	case c.kind == served && !byServer, c.kind == refused && byServer:
		return "the wrong side answered"
	case c.kind == refused && !strings.HasPrefix(reply, c.code) && reply != refusals[TooManySetUps]:
		return "want a " + c.code
	case c.kind == either && !byServer && reply[:3] != "425":
		return "want a 425"
	}
	return ""
}

// A command that has to wait is judged again as it came, Telnet and all.
func TestALineWithTelnetWaits(t *testing.T) {
	m := New(Config{Client: netip.MustParseAddr("198.51.100.7"), Server: netip.MustParseAddr("10.0.0.5"), TLS: PassTLS, Data: true})
	m.Server([]byte("220 hello\r\n"))
	m.Client([]byte("NOOP\r\n"))
	line := []byte("\xff\xf1AUTH TLS\r\n")
	if v := m.Client(line); !v.Wait {
		t.Fatalf("judged at once: %+v", v)
	}
	m.Server([]byte("200 ok\r\n"))
	if v := m.Client(line); v.Refusal != NoReason || v.Open.Mode != ModeAUTH {
		t.Errorf("judged %+v", v)
	}
}
