package replay

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// capture reads packets and gives those of control connections to them.
type capture struct {
	ports []uint16
	only  int
	kept  keeper
	rec   recording

	conns map[ends]*conn
	order []*conn

	packets    int // so far
	fragments  int // of IP, of TCP: they are not put together
	unreadable int // packets of which a header is not there, or wrong
	links      int // of link layers that nobody knows
	turnedAway int // connections beyond maxSessions
	full       bool
}

// ends are the two ends of a connection.
type ends struct{ client, server netip.AddrPort }

// packets is what pcapgo's readers have in common.
type packets interface {
	ZeroCopyReadPacketData() ([]byte, gopacket.CaptureInfo, error)
}

// maxBetween bounds what a file may have beside packets: a reader keeps names
// and interfaces, as many as there are.
const (
	maxBetween    = 16 << 20
	packetFraming = 512
)

var errBallast = errors.New("there is too much in it beside packets")

// readCapture reads the control connections of a pcap or pcapng file.
func readCapture(r *bufio.Reader, o Options) (recording, error) {
	c := &capture{ports: o.ControlPorts, only: o.Session, conns: map[ends]*conn{}}
	if len(c.ports) == 0 {
		c.ports = []uint16{21}
	}
	head, _ := r.Peek(4)
	m := &meter{r: r, left: maxBetween}
	var from packets
	var link layers.LinkType
	if binary.BigEndian.Uint32(head) == 0x0a0d0d0a {
		ng, err := pcapgo.NewNgReader(m, pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
		if err != nil {
			return recording{}, fmt.Errorf("read it as pcapng: %w", err)
		}
		from = ng
	} else {
		plain, err := pcapgo.NewReader(m)
		if err != nil {
			return recording{}, fmt.Errorf("read it as pcap: %w", err)
		}
		from, link = plain, plain.LinkType()
	}
	err := c.read(from, link, m)
	return c.done(), err
}

// read takes all packets. A file that ends within a packet ends there: it is
// what a capture that was cut off looks like.
func (c *capture) read(from packets, link layers.LinkType, m *meter) error {
	for !c.full {
		data, info, err := from.ZeroCopyReadPacketData()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case errors.Is(err, io.ErrUnexpectedEOF):
			c.rec.notes = append(c.rec.notes, fmt.Sprintf("the file ends within packet %d", c.packets+1))
			return nil
		case m.left <= 0:
			return errBallast
		case err != nil:
			return fmt.Errorf("read packet %d: %w", c.packets+1, err)
		}
		m.left += len(data) + packetFraming
		c.packets++
		if len(info.AncillaryData) > 0 {
			link, _ = info.AncillaryData[0].(layers.LinkType)
		}
		c.packet(data, link, info.Timestamp)
	}
	return errFull
}

// meter ends a file of which too much is no packet.
type meter struct {
	r    io.Reader
	left int
}

func (m *meter) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, errBallast
	}
	n, err := m.r.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

// linkLayers are the ways in which packets stand in a capture, by what begins them.
var linkLayers = map[layers.LinkType]gopacket.Decoder{
	layers.LinkTypeEthernet: layers.LayerTypeEthernet,
	layers.LinkTypeNull:     layers.LayerTypeLoopback, layers.LinkTypeLoop: layers.LayerTypeLoopback,
	layers.LinkTypeRaw: rawIP, 12: rawIP, 14: rawIP, layers.LinkTypeIPv4: layers.LayerTypeIPv4, layers.LinkTypeIPv6: layers.LayerTypeIPv6,
	layers.LinkTypeLinuxSLL: layers.LayerTypeLinuxSLL, layers.LinkTypeLinuxSLL2: layers.LayerTypeLinuxSLL2,
}

// rawIP begins with the version of IP.
var rawIP = gopacket.DecodeFunc(func(data []byte, p gopacket.PacketBuilder) error {
	if len(data) > 0 && data[0]>>4 == 6 {
		return layers.LayerTypeIPv6.Decode(data, p)
	}
	return layers.LayerTypeIPv4.Decode(data, p)
})

// packet takes one packet.
func (c *capture) packet(data []byte, link layers.LinkType, when time.Time) {
	decoder := linkLayers[link]
	if decoder == nil {
		c.links++
		return
	}
	p := gopacket.NewPacket(data, decoder, gopacket.DecodeOptions{Lazy: true, NoCopy: true})
	tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP) // decodes as far as that
	if tcp == nil {
		c.withoutTCP(p)
		return
	}
	toServer, fromServer := slices.Contains(c.ports, uint16(tcp.DstPort)), slices.Contains(c.ports, uint16(tcp.SrcPort))
	if !toServer && !fromServer {
		return
	}
	s, ok := segmentOf(p, tcp)
	if !ok {
		c.unreadable++
		return
	}
	s.at, s.when = c.packets, when
	e := ends{client: s.src, server: s.dst}
	if s.from = client; !toServer || fromServer && c.conns[e] == nil && (c.conns[ends{s.dst, s.src}] != nil || tcp.SYN && tcp.ACK) {
		s.from, e = server, ends{client: s.dst, server: s.src}
	}
	if conn := c.conn(e, s); conn != nil && !conn.take(s) {
		c.full = true
	}
}

// withoutTCP counts what of TCP might be missed.
func (c *capture) withoutTCP(p gopacket.Packet) {
	ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	ip6, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	fragment, _ := p.Layer(layers.LayerTypeIPv6Fragment).(*layers.IPv6Fragment)
	switch {
	case ip != nil && ip.Protocol == layers.IPProtocolTCP && (ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0),
		fragment != nil && fragment.NextHeader == layers.IPProtocolTCP:
		c.fragments++
	case ip != nil && ip.Protocol == layers.IPProtocolTCP, ip6 != nil && ip6.NextHeader == layers.IPProtocolTCP:
		c.unreadable++
	}
}

// segmentOf reads addresses and lengths. In a tunnel the inner IP counts, which
// is the last one before TCP.
func segmentOf(p gopacket.Packet, tcp *layers.TCP) (s segment, ok bool) {
	long := 0 // the payload's length on the wire; a capture may have less of it
	for _, l := range p.Layers() {
		if l == gopacket.Layer(tcp) {
			break
		}
		var src, dst netip.Addr
		switch ip := l.(type) {
		case *layers.IPv4:
			src, _ = netip.AddrFromSlice(ip.SrcIP)
			dst, _ = netip.AddrFromSlice(ip.DstIP)
			long = int(ip.Length) - 4*int(ip.IHL)
		case *layers.IPv6:
			src, _ = netip.AddrFromSlice(ip.SrcIP)
			dst, _ = netip.AddrFromSlice(ip.DstIP)
			long = len(ip.Payload) // extension headers are not worth their arithmetic
			if int(ip.Length) > long && ip.NextHeader == layers.IPProtocolTCP {
				long = int(ip.Length)
			}
		default:
			continue
		}
		s.src = netip.AddrPortFrom(src.Unmap(), uint16(tcp.SrcPort))
		s.dst = netip.AddrPortFrom(dst.Unmap(), uint16(tcp.DstPort))
	}
	s.seq, s.ack, s.hasAck = tcp.Seq, tcp.Ack, tcp.ACK
	s.syn, s.fin, s.rst = tcp.SYN, tcp.FIN, tcp.RST
	s.data = tcp.Payload
	s.long = max(long-4*int(tcp.DataOffset), len(s.data))
	return s, s.src.Addr().IsValid() && s.dst.Addr().IsValid()
}

// conn returns the connection that a segment is of; nil: it is of none that can
// be followed. A SYN on an ended one's ends is another's first.
func (c *capture) conn(e ends, s segment) *conn {
	known := c.conns[e]
	if known != nil && !(s.syn && !s.hasAck && known.another(s)) {
		return known
	}
	if known == nil && !s.syn && len(s.data) == 0 {
		return nil // the last ACKs of one that is over, or a scan
	}
	if known != nil {
		known.flush()
	}
	if len(c.order) >= maxSessions {
		c.dropEmpty()
	}
	if len(c.order) >= maxSessions {
		c.turnedAway++
		return nil
	}
	fresh := &conn{kept: &c.kept, dialogue: dialogue{client: e.client, server: e.server, began: s.when, captured: true}}
	c.conns[e] = fresh
	c.order = append(c.order, fresh)
	return fresh
}

// dropEmpty forgets connections that nothing was said on: scans.
func (c *capture) dropEmpty() {
	c.order = slices.DeleteFunc(c.order, func(conn *conn) bool {
		d := &conn.dialogue
		if !conn.empty() {
			return false
		}
		if e := (ends{d.client, d.server}); c.conns[e] == conn {
			delete(c.conns, e)
		}
		return true
	})
}

// done hands out what was read.
func (c *capture) done() recording {
	for _, conn := range c.order {
		conn.flush()
		if len(conn.dialogue.parts) > 0 {
			c.rec.dialogues = append(c.rec.dialogues, &conn.dialogue)
		}
	}
	for _, n := range []struct {
		count int
		what  string
	}{
		{c.fragments, " in fragments of IP, which are not put together"}, {c.unreadable, " with headers that cannot be read"},
		{c.links, " of a link layer that is not known"}, {c.turnedAway, " of more connections than can be followed"},
	} {
		if n.count > 0 {
			c.rec.notes = append(c.rec.notes, "left out: "+number(n.count, "packet")+n.what)
		}
	}
	return c.rec
}
