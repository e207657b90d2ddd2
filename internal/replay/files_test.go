package replay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"strings"
	"testing"

	"ftpgate/proxy"

	"github.com/gopacket/gopacket/layers"
)

// TestFiles: what a file is shows in its first bytes.
func TestFiles(t *testing.T) {
	c := &tape{t: t, link: layers.LinkTypeEthernet}
	c.connect(clientAt, serverAt).dialogue(short)
	whole := c.pcap()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(whole); err != nil || z.Close() != nil {
		t.Fatal("it cannot be packed")
	}
	checkHeard(t, zipped.Bytes(), transcript)

	cut := strings.TrimSuffix(transcript, "S: 221 Goodbye.\n")
	checkHeard(t, whole[:len(whole)-3], cut+"[the file ends within packet 14]\n")

	for _, test := range []struct{ name, file, want string }{
		{"nothing", "", "error: it is empty\n"},
		{"no dialogue", "# nothing\n\n", "[1 line of the text: a comment, or what the client says beside the dialogue]\nerror: there is no FTP dialogue in it\n"},
		{"UTF-16", "\xff\xfeC\x00:\x00", "error: it is UTF-16: convert it, for example by iconv -f UTF-16 -t UTF-8\n"},
		{"UTF-8 with a mark", "\ufeffS: 220 ready\n", "S: 220 ready\n"},
		{"no capture of FTP", string((&tape{t: t, link: layers.LinkTypeEthernet}).pcap()), "error: there is no FTP dialogue in it\n"},
		{"a link layer that nobody knows", string(func() []byte { b := bytes.Clone(whole); b[20] = 147; return b }()),
			"[left out: 14 packets of a link layer that is not known]\nerror: there is no FTP dialogue in it\n"},
		{"damaged", string(whole[:30]), "[the file ends within packet 1]\nerror: there is no FTP dialogue in it\n"},
	} {
		t.Run(test.name, func(t *testing.T) { checkHeard(t, []byte(test.file), test.want) })
	}
}

// TestMuch: what is kept of a file is bounded, and that is said.
func TestMuch(t *testing.T) {
	line := append(bytes.Repeat([]byte("x"), maxTextLine-10), '\n')
	script := append([]byte("S: 220 ready\n"), bytes.Repeat(append([]byte("S: "), line...), maxKept/len(line)+1)...)
	sum, err := Run(bytes.NewReader(script), plain(), func(Event) {})
	if !errors.Is(err, errFull) || sum.Server == 0 {
		t.Errorf("a long text: %v, %+v", err, sum)
	}
	long := "S: 220 ready\nC: " + strings.Repeat("y", maxTextLine) + "\nC: NOOP\n" + strings.Repeat("nonsense\n", maxUnread+5)
	notes := 0
	sum, err = Run(strings.NewReader(long), plain(), func(e Event) {
		if e.Note != nil && e.Note.Unread {
			notes++
		}
	})
	if err != nil || sum.Unread != maxUnread+6 || notes != maxUnread || sum.Client != 1 {
		t.Errorf("lines that cannot be read: %v, %d notes, %+v", err, notes, sum)
	}
}

// TestPinholePorts: what is leased is what the service has.
func TestPinholePorts(t *testing.T) {
	o := plain()
	o.Service.FromClient = true
	o.Service.AdvertiseTo = []proxy.AdvertiseTo{{Clients: prefix(t, "198.51.100.0/24"), Address: addr(t, "203.0.113.80")}}
	text := "C: PASV\nS: 227 (10,0,0,5,195,80)\nC: PORT 198,51,100,7,195,81\n"
	got, _ := printed(t, []byte(text), o)
	for _, want := range []string{"rewritten to: 227 (203,0,113,80,238,72)", "10.0.0.5 -> 198.51.100.7:50001 -> 198.51.100.7:50001, active"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in:\n%s", want, got)
		}
	}
	o.Service.Data, o.Client = proxy.DataKernel, addr(t, "2001:db8::7")
	got, sum := printed(t, []byte("C: EPSV\nS: 229 (|||50000|)\n"), o)
	if sum.Refusals["nft"] != 1 {
		t.Errorf("data that the kernel cannot carry is not refused:\n%s", got)
	}
}
