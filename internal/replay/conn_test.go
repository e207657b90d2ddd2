package replay

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/gopacket/gopacket/layers"
)

// TestNothingMadeUp drops, doubles and disorders packets, and holds what is heard
// against what was said: every byte stands where it belongs, or is missing.
func TestNothingMadeUp(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 2))
		c := &tape{t: t, link: layers.LinkTypeRaw}
		k := c.connect(clientAt, serverAt)
		var whole [2][]byte
		for i := range 60 {
			from := side(r.IntN(2))
			text := fmt.Sprintf("NOOP %d %d\r\n", from, i)
			whole[from] = append(whole[from], text...)
			k.say(from, text)
		}
		k.end()
		kept := slices.Clone(c.packets[:2]) // the numbers to begin with
		for _, p := range c.packets[2:] {
			for range []int{1, 1, 1, 1, 1, 1, 1, 0, 2}[r.IntN(9)] {
				kept = slices.Insert(kept, len(kept)-r.IntN(min(len(kept)-1, 5)), p)
			}
		}
		c.packets = kept
		rec, err := read(bytes.NewReader(c.pcap()), plain())
		if err != nil || len(rec.dialogues) != 1 {
			t.Fatalf("seed %d: %v, %d dialogues", seed, err, len(rec.dialogues))
		}
		var at [2]int
		for _, p := range rec.dialogues[0].parts {
			if p.note != "" {
				continue
			}
			end := at[p.from] + len(p.bytes) + p.missing
			if end > len(whole[p.from])+1 || len(p.bytes) > 0 && !bytes.Equal(p.bytes, whole[p.from][at[p.from]:end]) {
				t.Fatalf("seed %d: the %s says %q at %d of %q", seed, p.from, p.bytes, at[p.from], whole[p.from])
			}
			at[p.from] = end
		}
	}
}

// TestHostileSegments: whatever numbers segments have, they are worked off, and
// what waits is bounded.
func TestHostileSegments(t *testing.T) {
	for seed := range uint64(500) {
		r := rand.New(rand.NewPCG(seed, 3))
		var kept keeper
		c := &conn{kept: &kept, dialogue: dialogue{client: netip.MustParseAddrPort(clientAt)}}
		near := func() uint32 { // of few values, so that they meet, and of far ones
			return []uint32{0, 1 << 31, 1<<31 - 1, 0xffffffff, r.Uint32()}[r.IntN(5)] + r.Uint32N(8)
		}
		for i := range 400 {
			data := make([]byte, r.IntN(4))
			s := segment{
				at: i, from: side(r.IntN(2)), seq: near(), ack: near(), hasAck: r.IntN(4) > 0,
				syn: r.IntN(20) == 0, fin: r.IntN(20) == 0, rst: r.IntN(500) == 0, data: data, long: len(data) + r.IntN(3),
			}
			if !c.take(s) {
				t.Fatalf("seed %d: it is full", seed)
			}
			if len(c.waiting) > maxWaiting+1 {
				t.Fatalf("seed %d: %d segments wait", seed, len(c.waiting))
			}
		}
		c.flush()
		if len(c.waiting) > 0 && !c.over {
			t.Fatalf("seed %d: %d segments are never worked off", seed, len(c.waiting))
		}
	}
}

// TestBallast: a file must not fill the memory with what is no packet.
func TestBallast(t *testing.T) {
	c := &tape{t: t, link: layers.LinkTypeEthernet}
	c.connect(clientAt, serverAt).dialogue(short)
	file := c.pcapng()
	name := append([]byte{4, 0, 0, 0, 0x20, 0, 0, 0, 1, 0, 8, 0, 192, 0, 2, 1, 'a', 'b', 'c', 0, 0, 0, 0, 0}, make([]byte, 8)...) // a name resolution block
	name[28] = 0x20
	file = append(file, bytes.Repeat(name, (maxBetween+1<<20)/len(name))...)
	got := heard(t, file, plain())
	if want := transcript + "error: there is too much in it beside packets\n"; got != want {
		t.Errorf("it is heard as\n%s", got)
	}
}
