package proxy

import (
	"bufio"
	"ftpgate/nft"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// What the noisy client says, and the noisy server besides what it should.
var (
	noisyCommands = []string{
		"PASV", "PASV", "EPSV", "PORT 127,0,0,1,156,64", "PORT 10,0,0,1,156,64", "EPRT |1|127.0.0.1|40000|", "PORT 1,2",
		"RETR a", "STOR b", "LIST", "ABOR", "\xff\xf4\xff\xf2ABOR", "STAT", "NOOP", "AUTH TLS", "MODE B", "MODE S", "SPSV",
		"USER x", "PASS y", "PASS y",
	}
	noisyReplies = []string{
		"227 Entering Passive Mode (127,0,0,3,7,208)", "227-x", "227 Logout.", "229 Entering (|||2000|)", "150 ok", "226 ok",
		"230 in", "331 go on", "200 ok", "425 no", "426 no", "550 no", "211-a", "211 b", "PASV", "",
	}
	usualReplies = map[string]string{
		"PASV": "227 Entering Passive Mode (127,0,0,3,7,208)", "EPSV": "229 Entering (|||2000|)", "PORT": "200 ok", "EPRT": "200 ok",
		"RETR": "150 here it comes\r\n226 done", "STOR": "150 go on\r\n226 done", "LIST": "150 here it comes\r\n226 done",
		"ABOR": "226 ok", "USER": "331 password", "PASS": "230 in", "STAT": "211-fine\r\n211 end",
	}
)

// noise is a source of lines, of pieces of lines and of garbage.
type noise struct{ *rand.Rand }

func (n noise) line(words []string) string {
	line := words[n.IntN(len(words))] + "\r\n"
	switch n.IntN(40) {
	case 0:
		b := make([]byte, n.IntN(300))
		for i := range b {
			b[i] = byte(n.Uint32())
		}
		return string(b)
	case 1:
		return line[:n.IntN(len(line))]
	}
	return line
}

// client says many things and does not listen.
func (n noise) client(p *peer) {
	go func() { _, _ = io.Copy(io.Discard, p.TCPConn) }()
	for range 200 {
		if _, err := io.WriteString(p.TCPConn, n.line(noisyCommands)); err != nil {
			return
		}
	}
	_ = p.CloseWrite()
}

// server answers mostly as it should, and goes when nothing comes any more: out
// of step, the gateway may wait for a reply that it owes.
func (n noise) server(p *peer) {
	const impatience = 100 * time.Millisecond
	_ = p.SetReadDeadline(time.Now().Add(impatience))
	for lines := bufio.NewScanner(p.r); lines.Scan(); _ = p.SetReadDeadline(time.Now().Add(impatience)) {
		verb, _, _ := strings.Cut(lines.Text(), " ")
		reply, ok := usualReplies[verb]
		if !ok {
			reply = "200 ok"
		}
		reply += "\r\n"
		if n.IntN(8) == 0 {
			reply = n.line(noisyReplies)
		}
		if _, err := io.WriteString(p.TCPConn, reply); err != nil {
			break
		}
	}
	p.Close()
}

// Whatever two peers say, nothing breaks and nothing stays open, while the
// upkeep and conntrack have a hand in it.
func TestNoise(t *testing.T) {
	const rounds = 60
	g := newGateway(t, func(_ *Settings, s *Service) { s.Ports = PortRange{61000, 61002} })
	for round := range uint64(rounds) {
		from := func(who uint64) noise { return noise{rand.New(rand.NewPCG(round, who))} }
		d := g.loggedIn()
		deadline := time.Now().Add(patience)
		_ = d.client.SetDeadline(deadline)
		_ = d.server.SetWriteDeadline(deadline)
		done := make(chan struct{})
		go func() {
			defer close(done)
			from(1).client(d.client)
		}()
		go from(2).server(d.server)
		for over, random := false, from(3); !over; {
			select {
			case <-done:
				over = true
			default:
				g.pinholes.tick(time.Now().Add(time.Duration(random.IntN(50)) * time.Second)) // renews, does not expire
				g.connectSome(random)
			}
		}
		if record := <-g.log.ended; record["result"] == string(panicked) {
			t.Fatalf("a defect: %v", g.log)
		}
		d.client.Close()
	}
	if n := len(g.firewall.taken()); n < 10*rounds {
		t.Errorf("the firewall was called %d times only: the noise is too dull", n)
	}
}

// connectSome is conntrack, which has seen a connection through a pinhole.
func (g *gateway) connectSome(n noise) {
	g.pinholes.mu.Lock()
	var open []nft.Pinhole
	for _, p := range g.pinholes.open {
		open = append(open, p.rule)
	}
	g.pinholes.mu.Unlock()
	if len(open) > 0 && n.IntN(2) == 0 {
		rule := open[n.IntN(len(open))]
		g.Connected(admitted(rule.From, rule.At, rule.To))
	}
}
