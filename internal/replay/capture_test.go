package replay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/gopacket/gopacket/layers"
)

const (
	clientAt = "192.0.2.7:40000"
	serverAt = "203.0.113.5:21"
)

// short is a session with one transfer, and transcript what is heard of it.
const (
	short = `S: 220 ready
C: USER demo
S: 230-Welcome
S: 230 In.
C: PASV
S: 227 Entering Passive Mode (203,0,113,5,195,80)
C: RETR a
S: 150 Opening.
S: 226 Done.
C: QUIT
S: 221 Goodbye.
`
	transcript = short
)

// heard replays a capture and returns its lines and, in brackets, what is noted.
func heard(t *testing.T, file []byte, o Options) string {
	t.Helper()
	var b strings.Builder
	_, err := Run(bytes.NewReader(file), o, func(e Event) {
		switch {
		case e.Session != nil && e.Session.Number > 1:
			b.WriteString("----\n")
		case e.Line != nil:
			fmt.Fprintf(&b, "%s: %s\n", strings.ToUpper(e.Line.From[:1]), e.Line.Text)
		case e.Note != nil:
			fmt.Fprintf(&b, "[%s]\n", e.Note.Text)
		}
	})
	if err != nil {
		fmt.Fprintf(&b, "error: %v\n", err)
	}
	return b.String()
}

func checkHeard(t *testing.T, file []byte, want string) {
	t.Helper()
	if diff := cmp.Diff(want, heard(t, file, plain())); diff != "" {
		t.Errorf("what is heard (-want +got):\n%s", diff)
	}
}

// TestLinkLayers: the same dialogue, whatever stands below it.
func TestLinkLayers(t *testing.T) {
	for _, test := range []struct {
		name         string
		link         layers.LinkType
		vlans        int
		client, host string
	}{
		{"Ethernet", layers.LinkTypeEthernet, 0, clientAt, serverAt},
		{"Ethernet and IPv6", layers.LinkTypeEthernet, 0, "[2001:db8::7]:40000", "[2001:db8::5]:21"},
		{"VLAN", layers.LinkTypeEthernet, 1, clientAt, serverAt},
		{"VLAN in VLAN", layers.LinkTypeEthernet, 2, clientAt, serverAt},
		{"Linux cooked", layers.LinkTypeLinuxSLL, 0, clientAt, serverAt},
		{"Linux cooked and IPv6", layers.LinkTypeLinuxSLL, 0, "[2001:db8::7]:40000", "[2001:db8::5]:21"},
		{"Linux cooked 2", layers.LinkTypeLinuxSLL2, 0, clientAt, serverAt},
		{"raw IPv4", layers.LinkTypeRaw, 0, clientAt, serverAt},
		{"raw IPv6", layers.LinkTypeRaw, 0, "[2001:db8::7]:40000", "[2001:db8::5]:21"},
		{"BSD raw", 12, 0, clientAt, serverAt},
		{"IPv6 alone", layers.LinkTypeIPv6, 0, "[2001:db8::7]:40000", "[2001:db8::5]:21"},
		{"loopback of BSD", layers.LinkTypeNull, 0, clientAt, serverAt},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &tape{t: t, link: test.link, vlans: test.vlans}
			k := c.connect(test.client, test.host)
			k.dialogue(short)
			k.end()
			checkHeard(t, c.pcap(), transcript)
			checkHeard(t, c.pcapng(), transcript)
		})
	}
}

// TestCaptureSettings: what a capture says of addresses counts.
func TestCaptureSettings(t *testing.T) {
	c := &tape{t: t, link: layers.LinkTypeEthernet}
	c.connect(clientAt, serverAt).dialogue(short)
	var sessions []Session
	var holes []Pinhole
	if _, err := Run(bytes.NewReader(c.pcap()), plain(), func(e Event) {
		if e.Session != nil {
			sessions = append(sessions, *e.Session)
		}
		if e.Line != nil && e.Line.Opens != nil {
			holes = append(holes, *e.Line.Opens)
		}
	}); err != nil {
		t.Fatal(err)
	}
	want := []Pinhole{{ID: 1, Mode: "PASV", From: "192.0.2.7", At: "198.51.100.1:61000", To: "203.0.113.5:50000"}}
	if diff := cmp.Diff(want, holes); diff != "" {
		t.Errorf("pinholes (-want +got):\n%s", diff)
	}
	if len(sessions) != 1 || sessions[0].Client != clientAt || sessions[0].Server != serverAt || sessions[0].Began == nil || !sessions[0].Began.Equal(taped) {
		t.Errorf("sessions: %+v", sessions)
	}
}

// TestBeforeTheGateway: what a client dialled may be the gateway itself; then
// the server is the service's.
func TestBeforeTheGateway(t *testing.T) {
	c := &tape{t: t, link: layers.LinkTypeEthernet}
	c.connect(clientAt, "198.51.100.1:21").dialogue(strings.ReplaceAll(short, "203,0,113,5", "198,51,100,1"))
	got, _ := printed(t, c.pcap(), plain())
	for _, want := range []string{
		"gateway 198.51.100.1 and 10.0.0.1, server 10.0.0.5,", "recorded between the client and a gateway",
		"192.0.2.7 -> 198.51.100.1:61000 -> 10.0.0.5:50000",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
}

// TestOrder: a capture may have packets twice, late, cut otherwise and in
// another order than they went.
func TestOrder(t *testing.T) {
	whole := func() *tape {
		c := &tape{t: t, link: layers.LinkTypeEthernet}
		k := c.connect(clientAt, serverAt)
		k.dialogue(short)
		k.end()
		return c
	}
	t.Run("all twice", func(t *testing.T) {
		c := whole()
		c.packets = append(c.packets, c.packets...)
		checkHeard(t, c.pcap(), transcript)
	})
	t.Run("in disorder", func(t *testing.T) {
		for seed := range uint64(200) {
			c := whole()
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(c.packets)-3, func(i, j int) {
				c.packets[i+3], c.packets[j+3] = c.packets[j+3], c.packets[i+3]
			})
			checkHeard(t, c.pcap(), transcript)
		}
	})
	t.Run("backwards", func(t *testing.T) {
		c := whole()
		slices.Reverse(c.packets[3:])
		checkHeard(t, c.pcap(), transcript)
	})
	t.Run("other pieces", func(t *testing.T) {
		c := &tape{t: t, link: layers.LinkTypeEthernet}
		k := c.connect(clientAt, serverAt)
		for _, text := range []string{"2", "20 r", "eady\r", "\n"} {
			k.say(server, text)
		}
		k.say(client, "USER a\r\nSYST\r\nNO")
		k.next[client] -= 8 // sent again, with more
		k.say(client, "SYST\r\nNOOP\r\n")
		checkHeard(t, c.pcap(), "S: 220 ready\nC: USER a\nC: SYST\nC: NOOP\n")
	})
}

// TestMissing: what is not in the capture is said, and nothing made up for it.
func TestMissing(t *testing.T) {
	const anew = ": the gateway's view of this session begins anew, and a login is taken as given]\n"
	const stillOpen = "[pinhole 1 was still open: it closes with the session, or when it is not used in time]\n"
	const torn = "[what the server says up to here may be a part of a line: it is left out]\n"
	const tornClient = "[what the client says up to here may be a part of a line: it is left out]\n"
	login := "S: 220 ready\nC: USER demo\nS: 230 In.\n"
	for _, test := range []struct {
		name string
		make func(c *tape)
		want string
	}{
		{"a line of the client", func(c *tape) {
			k := c.connect(clientAt, serverAt)
			k.dialogue(login)
			k.next[client] += 6
			k.dialogue("S: 227 Ok (203,0,113,5,195,80)\nC: RETR a\nS: 150 Opening.\nC: NOOP\n")
		}, login + "[6 bytes of the client are missing in the recording" + anew + "S: 227 Ok (203,0,113,5,195,80)\n" + tornClient + "S: 150 Opening.\nC: NOOP\n"},
		{"the beginning of a line of the server", func(c *tape) {
			k := c.connect(clientAt, serverAt)
			k.dialogue(login)
			k.say(client, "PASV\r\n")
			k.next[server] += 4
			k.dialogue("S: Entering (203,0,113,5,195,80)\nC: PASV\nS: 227 Ok (203,0,113,5,195,81)\n")
		}, login + "C: PASV\n[4 bytes of the server are missing in the recording" + anew + torn + "C: PASV\nS: 227 Ok (203,0,113,5,195,81)\n" + stillOpen},
		{"the end of packets, which the capture has cut off", func(c *tape) {
			k := c.connect(clientAt, serverAt)
			k.dialogue(login + "C: PASV\nS: 227 Ok (203,0,113,5,195,80)\nC: NOOP\nS: 200 Ok.\n")
			c.shorter(7, 10)
		}, login + "C: PASV\n[10 bytes of the server are missing in the recording" + anew + "C: NOOP\n" + torn},
		{"the last line, which was acknowledged", func(c *tape) {
			k := c.connect(clientAt, serverAt)
			k.dialogue(login)
			k.next[client] += 6
			k.packet(server, nil, nil)
		}, login + "[6 bytes of the client are missing in the recording" + anew},
		{"all of the client", func(c *tape) {
			k := c.connect(clientAt, serverAt)
			k.dialogue(login + "C: PASV\nS: 227 Ok (203,0,113,5,195,80)\n")
			for _, i := range []int{6, 4} {
				c.packets = slices.Delete(c.packets, i, i+1)
			}
		}, "S: 220 ready\n[11 bytes of the client are missing in the recording" + anew + "S: 230 In.\n" +
			"[6 bytes of the client are missing in the recording" + anew + "S: 227 Ok (203,0,113,5,195,80)\n"},
		{"the beginning", func(c *tape) {
			c.midway(clientAt, serverAt).dialogue("C: PASV\nS: 227 Ok (203,0,113,5,195,80)\n")
		}, "[the recording does not begin with the server's greeting: a login is taken as given]\n" +
			"[the capture does not have the beginning of this connection]\nC: PASV\nS: 227 Ok (203,0,113,5,195,80)\n" +
			stillOpen},
		{"the line end of the last line", func(c *tape) {
			k := c.connect(clientAt, serverAt)
			k.dialogue(login)
			k.say(client, "QUIT")
		}, login + "[the client's last line has no end: it is not played]\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := &tape{t: t, link: layers.LinkTypeEthernet}
			test.make(c)
			checkHeard(t, c.pcap(), test.want)
		})
	}
}

// TestTLSInCapture: what is TLS is not taken for anything else.
func TestTLSInCapture(t *testing.T) {
	hello := "\x16\x03\x01\x00\x05hello\r\nworld\r\n"
	t.Run("behind AUTH", func(t *testing.T) {
		c := &tape{t: t, link: layers.LinkTypeEthernet}
		k := c.connect(clientAt, serverAt)
		k.dialogue("S: 220 ready\nC: AUTH TLS\nS: 234 Go.\n")
		k.say(client, hello)
		k.say(server, hello+"more")
		k.end()
		checkHeard(t, c.pcap(), "S: 220 ready\nC: AUTH TLS\nS: 234 Go.\n[TLS begins here: what client and server say from now on cannot be read]\n"+
			"[19 bytes of the client and 23 of the server were not read]\n")
	})
	t.Run("from the first byte", func(t *testing.T) {
		c := &tape{t: t, link: layers.LinkTypeEthernet}
		k := c.connect(clientAt, serverAt)
		k.say(client, hello)
		checkHeard(t, c.pcap(), "[TLS begins here: what client and server say from now on cannot be read]\n"+
			"[19 bytes of the client and 0 of the server were not read]\n")
	})
}

// TestConnections: several in a file come one after the other; other ports are
// none of ours.
func TestConnections(t *testing.T) {
	c := &tape{t: t, link: layers.LinkTypeEthernet}
	one, two := c.connect(clientAt, serverAt), c.connect("192.0.2.8:40000", serverAt)
	other := c.connect("192.0.2.9:40000", "203.0.113.5:2121")
	scan := c.midway("192.0.2.10:40000", serverAt)
	scan.packet(client, nil, func(tcp *layers.TCP) { tcp.SYN, tcp.ACK = true, false })
	scan.packet(server, nil, func(tcp *layers.TCP) { tcp.RST = true })
	one.dialogue("S: 220 one\n")
	two.dialogue("S: 220 two\n")
	other.dialogue("S: 220 other\n")
	one.dialogue("C: QUIT\n")
	two.packet(server, nil, func(tcp *layers.TCP) { tcp.RST = true })
	one.end()
	again := c.midway(clientAt, serverAt)
	again.next = [2]uint32{1000, 2000}
	again.packet(client, nil, func(tcp *layers.TCP) { tcp.SYN, tcp.ACK = true, false })
	again.next[client]++
	again.packet(server, nil, func(tcp *layers.TCP) { tcp.SYN = true })
	again.next[server]++
	again.dialogue("S: 220 again\n")
	checkHeard(t, c.pcap(), "S: 220 one\nC: QUIT\n----\nS: 220 two\n[the server resets the connection]\n----\nS: 220 again\n")

	o := plain()
	o.Session = 2
	if got := heard(t, c.pcap(), o); got != "----\nS: 220 two\n[the server resets the connection]\n" {
		t.Errorf("session 2 is\n%s", got)
	}
	o.Session = 4
	if got := heard(t, c.pcap(), o); got != "error: there is no session 4 in it: it has 3\n" {
		t.Errorf("session 4 is\n%s", got)
	}
	o = plain()
	o.ControlPorts = []uint16{2121}
	if got := heard(t, c.pcap(), o); got != "S: 220 other\n" {
		t.Errorf("on port 2121 there is\n%s", got)
	}
}
