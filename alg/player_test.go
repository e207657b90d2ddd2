package alg

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// player carries a machine through a dialogue as a session does.
type player struct {
	cfg            Config
	m              *Machine
	client, server Lines
	segment        int
	raw            bool          // note nothing but the bytes that are written
	check          func(Verdict) // sees every verdict
	refuse         Reason
	held           [][]byte // the client's lines that wait
	secured        bool     // the last verdict on a line of the client changed its connection
	over           bool     // a verdict ended the session: nothing is read any more
	did            []string
}

func newPlayer(cfg Config) *player {
	p := &player{cfg: cfg, client: NewLines(MaxCommand), server: NewLines(MaxReply)}
	if !cfg.Client.IsValid() {
		p.cfg.Client, p.cfg.Server = netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("10.0.0.5")
	}
	p.m = New(p.cfg)
	return p
}

// event plays one line of a script and returns what the machine did.
func (p *player) event(line string) ([]string, error) {
	p.did = nil
	what, rest, _ := strings.Cut(line, " ")
	switch what {
	case "C", "S":
		data := rest + "\r\n"
		if strings.HasPrefix(rest, `"`) {
			var err error
			if data, err = strconv.Unquote(rest); err != nil {
				return nil, err
			}
		}
		p.feed(what == "C", []byte(data))
	case "refuse":
		for _, r := range Reasons() {
			if r.String() == rest {
				p.refuse = r
			}
		}
		if p.refuse == NoReason {
			return nil, fmt.Errorf("no such reason")
		}
	case "resumed":
		p.carryOut(p.m.Resumed())
	case "broken":
		return nil, p.breakData(rest)
	case "finishes":
		p.did = append(p.did, fmt.Sprint("finishes ", finishes(p.m, []byte(rest+"\r\n"))))
	case "session":
		segment := p.segment
		*p = *newPlayer(Config{Passive: true, Active: true})
		p.segment = segment
		return nil, p.configure(rest)
	case "login":
		for _, line := range []string{"S 220 ready", "C USER demo", "S 331 password", "C PASS secret", "S 230 in"} {
			if _, err := p.event(line); err != nil {
				return nil, err
			}
		}
		p.did = nil
	case "", "#":
	default:
		return nil, fmt.Errorf("not an event")
	}
	return p.did, nil
}

// breakData says of a pinhole that its connection failed, and why.
func (p *player) breakData(words string) error {
	number, why, _ := strings.Cut(words, " ")
	id, err := strconv.Atoi(number)
	for _, r := range Reasons() {
		if r.String() == why && err == nil {
			p.m.Broken(ID(id), r)
			return nil
		}
	}
	return fmt.Errorf("broken needs a pinhole and a reason")
}

func (p *player) configure(words string) error {
	for word := range strings.FieldsSeq(words) {
		key, value, _ := strings.Cut(word, "=")
		switch key {
		case "client":
			p.cfg.Client = netip.MustParseAddr(value)
		case "server":
			p.cfg.Server = netip.MustParseAddr(value)
		case "passive":
			p.cfg.Passive = value != "off"
		case "active":
			p.cfg.Active = value != "off"
		case "peer":
			p.cfg.PeerAddress = true
		case "strict":
			p.cfg.Strict = true
		case "tls":
			p.cfg.TLS = map[string]TLS{"refuse": RefuseTLS, "pass": PassTLS, "terminate": TerminateTLS}[value]
		case "require":
			p.cfg.Require = true
		case "implicit":
			p.cfg.Implicit = true
		case "data":
			p.cfg.Data = true
		case "routed":
			p.cfg.Data, p.cfg.Routed = true, true
		case "own":
			p.cfg.Own = append(p.cfg.Own, netip.MustParseAddrPort(value))
		default:
			return fmt.Errorf("no such setting: %s", key)
		}
	}
	p.m = New(p.cfg)
	return nil
}

// feed sends bytes of one side through its Lines and the machine.
func (p *player) feed(client bool, data []byte) {
	lines := &p.server
	if client {
		lines = &p.client
	}
	for len(data) > 0 && !p.over {
		space := lines.Space()
		if p.segment > 0 {
			space = space[:min(p.segment, len(space))]
		}
		n := copy(space, data)
		data = data[n:]
		lines.Filled(n)
		for line := lines.Next(); line != nil && !p.over; line = lines.Next() {
			if client {
				p.clientLine(line)
				p.inject(len(data) + len(lines.Pending()))
				continue
			}
			p.serverLine(line)
			if p.m.through != 0 {
				p.inject(len(p.held))
			}
			p.release()
		}
		if client && !p.over && p.m.Foreign(lines.Pending()) {
			p.clientLine(lines.Rest())
		}
	}
}

// serverLine gives the machine a line of the server, and holds it to what it
// said before that the line would do.
func (p *player) serverLine(line []byte) {
	within, whole := p.m.reply.code != 0, bytes.HasSuffix(line, []byte("\n"))
	id := finishes(p.m, line)
	if again := finishes(p.m, line); again != id {
		panic(fmt.Sprintf("Finishes(%q) says %d, then %d", line, id, again))
	}
	text, block := string(line), p.m.blockMode
	v := p.m.Server(line)
	if tr := v.Transfer; !within && whole && text[min(3, len(text)-1)] != '-' && !block {
		if id != 0 && (tr.Pinhole != id || tr.Phase != TransferDone && v.Refusal == NoReason) || id == 0 && tr.Phase == TransferDone && tr.Pinhole != 0 {
			panic(fmt.Sprintf("Finishes(%q) says %d, but what it does is %+v", text, id, v))
		}
	}
	p.carryOut(v)
}

// clientLine presents a line of the client, behind those that wait.
func (p *player) clientLine(line []byte) {
	if len(p.held) > 0 {
		p.held = append(p.held, bytes.Clone(line))
		return
	}
	held := bytes.Clone(line)
	v := p.m.Client(line)
	if v.Wait {
		p.held = append(p.held, held)
	}
	p.carryOut(v)
}

// inject ends a session in which so many bytes stand in clear behind a line
// that changed what the client's connection is.
func (p *player) inject(n int) {
	if p.secured && n > 0 && !p.over {
		p.did = append(p.did, "injected")
		p.over = true
	}
	p.secured = false
}

// release presents what waits again, as far as the machine takes it.
func (p *player) release() {
	for len(p.held) > 0 && !p.over {
		v := p.m.Client(bytes.Clone(p.held[0]))
		if v.Wait {
			return
		}
		p.held = p.held[1:]
		p.carryOut(v)
		p.inject(len(p.held))
	}
}

// finishes is Finishes without the direction, which has tests of its own.
func finishes(m *Machine, line []byte) ID {
	id, direction := m.Finishes(line)
	if (id == 0) != (direction == 0) && id != 0 {
		panic(fmt.Sprintf("Finishes(%q) says %d and no direction", line, id))
	}
	return id
}
