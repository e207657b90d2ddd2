package alg

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// fragments are what FuzzMachine makes streams of, so that it finds its way
// past the login; the client's and then the server's.
var fragments = [2][]string{
	{
		"USER a\r\n", "PASS b\r\n", "PASV\r\n", "EPSV\r\n", "EPSV ALL\r\n", "PORT 198,51,100,7,8,1\r\n", "EPRT |1|198.51.100.7|2049|\r\n", "EPRT |2|2001:db8::7|2049|\r\n", "ALGS DISABLE64\r\n",
		"PORT 10,0,0,9,8,1\r\n", "PORT ", "198,51,100,7,", "RETR a\r\n", "STOR a\r\n", "LIST\r\n", "ABOR\r\n", "STAT\r\n", "NOOP\r\n",
		"REIN\r\n", "QUIT\r\n", "AUTH TLS\r\n", "PBSZ 0\r\n", "PROT P\r\n", "PROT C\r\n", "CCC\r\n", "AUTH SSL\r\n", "FEAT\r\n", "HELP\r\n", "HELP AUTH\r\n", "OPTS EPSV\r\n", "MODE B\r\n", "\r\n", "\n", "\r", "\x00", "\xff", "\xff\xf4\xff\xf2", "CWD ",
		strings.Repeat("x", 600),
	},
	{
		"220 ready\r\n", "331 pass\r\n", "230 in\r\n", "530 no\r\n", "227 Entering (10,0,0,5,195,80)\r\n", "227 (10,0,0,9,195,80)\r\n",
		"227-x\r\n", "227 (", "10,0,0,5,", "229 (|||50000|)\r\n", "229 (|||22|)\r\n", "150 go\r\n", "226 done\r\n", "200 ok\r\n",
		"426 cut\r\n", "225 none\r\n", "500 what\r\n", "550 no\r\n", "421 bye\r\n", "211-f\r\n AUTH TLS\r\n", "211 end\r\n", "120 wait\r\n",
		" AUTH EPRT CPSV\r\n", "214-h\r\n", "214 h\r\n", "234 tls\r\n", "226-x\r\n", "522 no\r\n", "502-no\r\n", "502 no\r\n", "\r\n", "\n", "202 ok\r\n", "250 ok\r\n", strings.Repeat("y", 3000),
	},
}

// witness watches every verdict of a machine for what must never happen.
type witness struct {
	t        *testing.T
	p        *player
	loggedIn bool // the server has sent a reply that logs in
	opened   map[ID]bool
	last     ID
}

func (w *witness) see(v Verdict) {
	w.command(v.ToServer)
	w.secure(v)
	if v.Wait && (v.ToServer != nil || v.ToClient != nil || v.Open.ID != 0 || len(v.Close) > 0 || v.End != 0) {
		w.t.Fatalf("a verdict to wait does more: %+v", v)
	}
	if v.Open.ID != 0 {
		w.open(v)
	}
	for _, c := range v.Close {
		if !w.opened[c.ID] || c.Why < Done || c.Why > Aborted {
			w.t.Fatalf("%+v closes what was not opened", c)
		}
	}
	m := w.p.m
	for name, n := range map[string][2]int{
		"commands that wait":      {len(m.queue.cmds), maxOutstanding},
		"bytes of built lines":    {cap(m.out), 4 * MaxReply},
		"bytes of held replies":   {cap(m.due), 16 << 10},
		"closings":                {cap(m.closes), 4 * maxOutstanding},
		"broken pinholes":         {cap(m.broken), 2 * maxBroken},
		"bytes of client's lines": {len(w.p.client.buf), MaxCommand},
		"bytes of server's lines": {len(w.p.server.buf), MaxReply},
	} {
		if n[0] > n[1] {
			w.t.Fatalf("%d %s, more than %d", n[0], name, n[1])
		}
	}
}

// command looks at what goes to the server: at most one line, with one CRLF.
func (w *witness) command(line []byte) {
	if len(line) == 0 {
		return
	}
	body, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || len(body) == 0 || len(line) > MaxCommand+1 {
		w.t.Fatalf("the server gets %q", line)
	}
	verb, arg := parseVerb(body)
	if verb == None || bytes.IndexByte(body, '\n') >= 0 || bytes.ContainsAny(body, "\r\x00") && !(verb.is(hasPath) && onlyTelnetCR(arg)) {
		w.t.Fatalf("the server gets %q", line)
	}
}

// secure looks at what becomes of TLS: nothing may be outstanding where it
// begins or ends, and a login that must be private is.
func (w *witness) secure(v Verdict) {
	m := w.p.m
	if v.Secure != 0 && !m.idle() {
		w.t.Fatalf("TLS changes with replies outstanding: %+v", v)
	}
	verb, _ := parseVerb(bytes.TrimRight(v.ToServer, "\r\n"))
	switch {
	case m.cfg.TLS == TerminateTLS && (verb == AUTH || verb.is(securityCmd)), m.cfg.TLS == RefuseTLS && verb == AUTH:
		w.t.Fatalf("the server gets %q", v.ToServer)
	case verb.is(logsIn) && m.needsTLS():
		w.t.Fatalf("the server gets %s before TLS", verb)
	}
}

// open looks at a pinhole that is asked for: no hole to a third party, none to
// a port of services, none before a login.
func (w *witness) open(v Verdict) {
	o, cfg := v.Open, w.p.m.cfg
	to := cfg.Client
	if o.Mode.Passive() || o.Mode == ModeAUTH {
		to = cfg.Server
	}
	switch {
	case o.Mode == ModeAUTH && (o.To.Addr() != to || cfg.TLS != PassTLS || !cfg.Data):
		w.t.Fatalf("AUTH opens to %s", o.To)
	case o.Mode == ModeAUTH:
	case o.To.Addr() != to || o.To.Port() < minDataPort || slices.Contains(cfg.Own, o.To):
		w.t.Fatalf("%s opens to %s", o.Mode, o.To)
	case !w.loggedIn:
		w.t.Fatalf("%s opens before a login", o.Mode)
	case o.Private != w.p.m.security.private, cfg.Require && cfg.TLS == TerminateTLS && !o.Private:
		w.t.Fatalf("%s opens private: %v", o.Mode, o.Private)
	}
	if o.ID <= w.last {
		w.t.Fatalf("%s opens as %d after %d", o.Mode, o.ID, w.last)
	}
	if len(v.ToServer) > 0 || len(v.ToClient) > 0 {
		w.t.Fatalf("%s announces before it is open: %+v", o.Mode, v)
	}
	w.last = o.ID
	w.opened[o.ID] = true
}

// fuzzConfig returns the settings that two bytes stand for.
func fuzzConfig(b, security byte) Config {
	c := Config{TLS: TLS(security & 3 % 3), Require: security&4 != 0, Implicit: security&8 != 0, Data: security&16 != 0,
		Passive: b&1 == 0, Active: b&2 == 0, PeerAddress: b&4 != 0, Strict: b&16 != 0}
	if b&(8|64|128) != 0 {
		c.Client, c.Server = netip.MustParseAddr("2001:db8::7"), netip.MustParseAddr("fd00::5")
	}
	if b&64 != 0 {
		c.Client = netip.MustParseAddr("198.51.100.7")
	}
	if b&128 != 0 {
		c.Server = netip.MustParseAddr("10.0.0.5")
	}
	if b&32 != 0 {
		c.Own = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:50000"), netip.MustParseAddrPort("198.51.100.7:2049")}
	}
	return c
}

// FuzzMachine sends arbitrary bytes, in arbitrary segments and order, from both
// sides through a machine. The first two bytes of the script choose the settings;
// each other is a fragment of one side, or says how many bytes of the script
// itself are sent.
func FuzzMachine(f *testing.F) {
	side := func(server int, words ...string) (script []byte) {
		for _, word := range words {
			for i, fragment := range fragments[server] {
				if strings.HasPrefix(fragment, word) {
					script = append(script, byte(2*i+server))
					break
				}
			}
		}
		return script
	}
	client := func(words ...string) []byte { return side(0, words...) }
	server := func(words ...string) []byte { return side(1, words...) }
	login := bytes.Join([][]byte{server("220"), client("USER", "PASS"), server("331", "230")}, nil)
	for _, script := range [][]byte{
		bytes.Join([][]byte{login, client("PASV", "RETR"), server("227", "150", "226")}, nil),
		bytes.Join([][]byte{login, client("PORT 1", "RETR", "ABOR"), server("200", "150", "426", "226")}, nil),
		bytes.Join([][]byte{login, client("EPSV ALL", "EPSV", "AUTH", "REIN"), server("200", "229", "120", "220")}, nil),
		bytes.Join([][]byte{login, client("PASV", "STAT", "AUTH", "NOOP"), server("227-", "227 E", "214-", "200", "214 ")}, nil),
		bytes.Join([][]byte{login, client("PASV"), {0xfe}, server("227")}, nil),
		bytes.Join([][]byte{server("220"), client("AUTH TLS"), login[1:], client("PBSZ", "PROT P", "PASV", "RETR"), server("227", "150", "226-", "226"), client("CCC", "REIN"), server("220")}, nil),
		bytes.Join([][]byte{server("220"), client("AUTH TLS"), server("234"), {0xfc}, client("PASV"), server("227")}, nil),
		append(login, "\xc5PORT 198,51,100,7,8,1\nNOOP\r\n"...),
	} {
		f.Add(append([]byte{0, 0}, script...))
		f.Add(append([]byte{8, 0}, script...))
		f.Add(append([]byte{0, 2}, script...))
		f.Add(append([]byte{64, 0}, script...))
		f.Add(append([]byte{128, 0}, script...))
		f.Add(append([]byte{0, 17}, script...))
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 2 {
			return
		}
		p := newPlayer(fuzzConfig(script[0], script[1]))
		script = script[2:]
		w := &witness{t: t, p: p, opened: map[ID]bool{}}
		p.check, p.raw = w.see, true
		for len(script) > 0 && !p.over {
			server, n := int(script[0]&1), int(script[0]>>1)
			script = script[1:]
			var data []byte
			switch {
			case n < len(fragments[server]):
				data = []byte(fragments[server][n])
			case n == 127:
				p.refuse = NoPinhole
				continue
			case n == 126 && p.m.through != 0:
				w.loggedIn = true // within the TLS that nobody saw
				p.carryOut(p.m.Resumed())
				continue
			case n == 126:
				p.m.Broken(w.last, []Reason{DataBroken, DataTLS}[server])
				continue
			default:
				n = min(n-len(fragments[server])+1, len(script))
				data, script = bytes.Clone(script[:n]), script[n:]
			}
			if server == 1 {
				pending := string(p.server.Pending()) + string(data)
				for _, code := range []string{"230", "232", "202"} {
					w.loggedIn = w.loggedIn || strings.Contains(pending, code)
				}
			}
			p.did = nil
			p.feed(server == 0, data)
		}
	})
}
