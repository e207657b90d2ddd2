package replay

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// tape makes the packets of TCP connections, as a capture has them.
type tape struct {
	t       *testing.T
	link    layers.LinkType
	vlans   int
	packets [][]byte
}

// talk is a connection on a tape.
type talk struct {
	tape *tape
	ends [2]netip.AddrPort
	next [2]uint32
}

// connect makes the handshake of a connection.
func (c *tape) connect(from, to string) *talk {
	k := c.midway(from, to)
	k.packet(client, nil, func(tcp *layers.TCP) { tcp.SYN, tcp.ACK, tcp.Ack = true, false, 0 })
	k.next[client]++
	k.packet(server, nil, func(tcp *layers.TCP) { tcp.SYN = true })
	k.next[server]++
	k.packet(client, nil, nil)
	return k
}

// midway is a connection whose beginning the tape does not have. Its sequence
// numbers are about to wrap.
func (c *tape) midway(from, to string) *talk {
	return &talk{tape: c, ends: [2]netip.AddrPort{netip.MustParseAddrPort(from), netip.MustParseAddrPort(to)}, next: [2]uint32{0xfffffff0, 0xffffffe0}}
}

// say makes a packet of a side, and moves on.
func (k *talk) say(from side, text string) {
	k.packet(from, []byte(text), nil)
	k.next[from] += uint32(len(text))
}

// dialogue says lines, "C: PASV", each in a packet.
func (k *talk) dialogue(lines string) {
	for line := range strings.FieldsFuncSeq(lines, func(c rune) bool { return c == '\n' }) {
		from := server
		if strings.HasPrefix(line, "C: ") {
			from = client
		}
		k.say(from, line[3:]+"\r\n")
	}
}

// end makes the FINs.
func (k *talk) end() {
	for _, from := range []side{client, server} {
		k.packet(from, nil, func(tcp *layers.TCP) { tcp.FIN = true })
		k.next[from]++
	}
	k.packet(client, nil, nil)
}

// packet puts a packet on the tape as the connection stands.
func (k *talk) packet(from side, payload []byte, change func(*layers.TCP)) {
	k.tape.t.Helper()
	src, dst := k.ends[from], k.ends[from.other()]
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(src.Port()), DstPort: layers.TCPPort(dst.Port()),
		Seq: k.next[from], Ack: k.next[from.other()], ACK: true, PSH: len(payload) > 0, Window: 64240,
	}
	if change != nil {
		change(tcp)
	}
	stack := k.tape.below(src.Addr(), dst.Addr())
	if err := tcp.SetNetworkLayerForChecksum(stack[len(stack)-1].(gopacket.NetworkLayer)); err != nil {
		k.tape.t.Fatal(err)
	}
	b := gopacket.NewSerializeBuffer()
	stack = append(stack, tcp, gopacket.Payload(payload))
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		k.tape.t.Fatal(err)
	}
	k.tape.packets = append(k.tape.packets, append(k.tape.head(src.Addr().Is4()), b.Bytes()...))
}

// below are the layers from Ethernet, where there is one, to IP.
func (c *tape) below(src, dst netip.Addr) []gopacket.SerializableLayer {
	var stack []gopacket.SerializableLayer
	kind := layers.EthernetTypeIPv4
	if src.Is6() {
		kind = layers.EthernetTypeIPv6
	}
	if c.link == layers.LinkTypeEthernet {
		e := &layers.Ethernet{SrcMAC: []byte{2, 0, 0, 0, 0, 1}, DstMAC: []byte{2, 0, 0, 0, 0, 2}, EthernetType: kind}
		stack = append(stack, e)
		for i := range c.vlans {
			e.EthernetType = layers.EthernetTypeDot1Q
			tag := &layers.Dot1Q{VLANIdentifier: uint16(7 + i), Type: layers.EthernetTypeDot1Q}
			if i == c.vlans-1 {
				tag.Type = kind
			}
			stack = append(stack, tag)
		}
	}
	if src.Is6() {
		return append(stack, &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()})
	}
	return append(stack, &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()})
}

// head is what stands before IP where that is not Ethernet.
func (c *tape) head(is4 bool) []byte {
	kind, family := uint16(layers.EthernetTypeIPv4), byte(2)
	if !is4 {
		kind, family = uint16(layers.EthernetTypeIPv6), 10
	}
	switch c.link {
	case layers.LinkTypeLinuxSLL: // kind of packet, of device, its address, then the protocol
		return binary.BigEndian.AppendUint16([]byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}, kind)
	case layers.LinkTypeLinuxSLL2: // the protocol comes first, and there is a number of the device
		return append(binary.BigEndian.AppendUint16(nil, kind), 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0)
	case layers.LinkTypeNull:
		return []byte{family, 0, 0, 0}
	}
	return nil
}

// shorter cuts packet i in the capture to all but its last n bytes.
func (c *tape) shorter(i, n int) { c.packets[i] = c.packets[i][:len(c.packets[i])-n] }

var taped = time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)

// info is what a capture says of packet i. Its length on the wire matters to no one.
func (c *tape) info(i int) gopacket.CaptureInfo {
	n := len(c.packets[i])
	return gopacket.CaptureInfo{Timestamp: taped.Add(time.Duration(i) * time.Second), CaptureLength: n, Length: n}
}

// pcap returns the tape as a file.
func (c *tape) pcap() []byte {
	var b bytes.Buffer
	w := pcapgo.NewWriter(&b)
	if err := w.WriteFileHeader(65535, c.link); err != nil {
		c.t.Fatal(err)
	}
	for i, p := range c.packets {
		if err := w.WritePacket(c.info(i), p); err != nil {
			c.t.Fatal(err)
		}
	}
	return b.Bytes()
}

// pcapng returns the tape as a file of the other kind, behind an interface of
// another kind.
func (c *tape) pcapng() []byte {
	var b bytes.Buffer
	w, err := pcapgo.NewNgWriter(&b, layers.LinkTypeLinuxUSB)
	if err != nil {
		c.t.Fatal(err)
	}
	id, err := w.AddInterface(pcapgo.NgInterface{Name: "eth0", LinkType: c.link, SnapLength: 65535})
	if err != nil {
		c.t.Fatal(err)
	}
	for i, p := range c.packets {
		info := c.info(i)
		info.InterfaceIndex = id
		if err := w.WritePacket(info, p); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		c.t.Fatal(err)
	}
	return b.Bytes()
}
