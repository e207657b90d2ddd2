package replay

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// FuzzScript: whatever a text says, it is played to its end, and what is printed
// can be shown on a terminal and has no password in it.
func FuzzScript(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, file := range files {
		script, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(script, byte(len(script)))
	}
	f.Fuzz(func(t *testing.T, script []byte, settings byte) {
		if len(script) >= 4 && isCapture(script[:4]) || len(script) > 64<<10 {
			return
		}
		playAny(t, script, settings)
	})
}

// FuzzCapture: the same for packets.
func FuzzCapture(f *testing.F) {
	for i, link := range []layers.LinkType{layers.LinkTypeEthernet, layers.LinkTypeLinuxSLL, layers.LinkTypeLinuxSLL2, layers.LinkTypeRaw, layers.LinkTypeNull} {
		t := new(testing.T)
		c := &tape{t: t, link: link, vlans: i}
		k := c.connect(clientAt, serverAt)
		k.dialogue("S: 220 ready\nC: USER demo\nS: 230 In.\n")
		k.next[server] += uint32(i)
		k.dialogue("C: PASV\nS: 227 Ok (203,0,113,5,195,80)\nC: AUTH TLS\nS: 234 Go.\n")
		k.say(client, "\x16\x03\x01\x00\x05hello")
		k.end()
		f.Add(c.pcap(), byte(i))
		f.Add(c.pcapng(), byte(i*37))
	}
	f.Fuzz(func(t *testing.T, file []byte, settings byte) {
		if len(file) < 4 || !isCapture(file[:4]) {
			return
		}
		playAny(t, file, settings)
	})
}

// playAny replays anything, in both ways of printing.
func playAny(t *testing.T, file []byte, settings byte) {
	o := plain()
	for i, word := range []string{"client=2001:db8::7", "strict", "tls=terminate", "tls=pass", "data", "require", "forward", "relay"} {
		if settings&(1<<i) != 0 {
			if err := o.set(word); err != nil {
				t.Fatal(err)
			}
		}
	}
	var text, jsons bytes.Buffer
	people, scripts := NewPrinter(&text, false), NewPrinter(&jsons, true)
	sessions := 0
	sum, _ := Run(bytes.NewReader(file), o, func(e Event) {
		if e.Session != nil {
			sessions++
		}
		people.Print(e)
		scripts.Print(e)
	})
	if people.Flush() != nil || scripts.Flush() != nil {
		t.Fatal("printing to memory fails")
	}
	if sum.Sessions != sessions || sum.Ended > sessions {
		t.Errorf("%d sessions were told: %+v", sessions, sum)
	}
	for _, c := range text.String() {
		if c < ' ' && c != '\n' || c == 0x7f {
			t.Fatalf("a terminal obeys what is printed: %q", text.String())
		}
	}
	for line := range strings.Lines(jsons.String()) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("not JSON: %v: %s", err, line)
		}
	}
}
