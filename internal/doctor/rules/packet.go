package rules

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Packet is a TCP segment, as far as it is known. A zero field may be anything,
// but for those that are true or false.
type Packet struct {
	V6                 bool
	From, To           netip.Prefix
	FromPorts, ToPorts Ports
	In, Out            string // interfaces
	ToHost             bool   // To is an address of this host
	Reply              bool   // SYN-ACK of a connection, not the SYN
	Mark               uint32 // of the connection
	PacketMark         *uint32
	Translated         bool // its destination was
}

// Ports are First to Last, both included. The zero value is all.
type Ports struct{ First, Last uint16 }

// One is a single port.
func One(port uint16) Ports { return Ports{port, port} }

func (p Ports) value() value {
	if p == (Ports{}) {
		return anything(2)
	}
	return between(binary.BigEndian.AppendUint16(nil, p.First), binary.BigEndian.AppendUint16(nil, p.Last))
}

func (p Packet) addressSize() int {
	if p.V6 {
		return 16
	}
	return 4
}

func (p Packet) address(prefix netip.Prefix) value {
	if !prefix.IsValid() {
		return anything(p.addressSize())
	}
	lo := prefix.Masked().Addr().AsSlice()
	hi := prefix.Masked().Addr().AsSlice()
	for bit := prefix.Bits(); bit < 8*len(hi); bit++ {
		hi[bit/8] |= 0x80 >> (bit % 8)
	}
	return between(lo, hi)
}

// network is the header of IP.
func (p Packet) network() value {
	from, to := p.address(p.From), p.address(p.To)
	if p.V6 {
		return anything(40).put(6, exactly([]byte{unix.IPPROTO_TCP})).put(8, from).put(24, to)
	}
	return anything(20).put(6, exactly([]byte{0x40, 0})).put(9, exactly([]byte{unix.IPPROTO_TCP})).put(12, from).put(16, to)
}

// Flags of TCP.
const (
	syn = 0x02
	ack = 0x10
)

// transport is the header of TCP.
func (p Packet) transport() value {
	return anything(20).put(0, p.FromPorts.value()).put(2, p.ToPorts.value()).put(13, exactly([]byte{p.flags()}))
}

func (p Packet) flags() byte {
	if p.Reply {
		return syn | ack
	}
	return syn
}

func native(n uint32) value { return exactly(binary.NativeEndian.AppendUint32(nil, n)) }

// meta is what the meta expression loads.
func (p Packet) meta(key uint32) value {
	switch key {
	case unix.NFT_META_NFPROTO:
		return exactly([]byte{map[bool]byte{false: unix.NFPROTO_IPV4, true: unix.NFPROTO_IPV6}[p.V6]})
	case unix.NFT_META_PROTOCOL:
		return exactly(binary.BigEndian.AppendUint16(nil, map[bool]uint16{false: unix.ETH_P_IP, true: unix.ETH_P_IPV6}[p.V6]))
	case unix.NFT_META_L4PROTO:
		return exactly([]byte{unix.IPPROTO_TCP})
	case unix.NFT_META_PKTTYPE:
		return exactly([]byte{unix.PACKET_HOST})
	case unix.NFT_META_IIFNAME:
		return interfaceName(p.In)
	case unix.NFT_META_OIFNAME:
		return interfaceName(p.Out)
	case unix.NFT_META_IIF:
		return interfaceIndex(p.In)
	case unix.NFT_META_OIF:
		return interfaceIndex(p.Out)
	case unix.NFT_META_MARK:
		if p.PacketMark != nil {
			return native(*p.PacketMark)
		}
	}
	return anything(4)
}

func interfaceName(name string) value {
	if name == "" {
		return anything(unix.IFNAMSIZ)
	}
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, name)
	return exactly(b)
}

func interfaceIndex(name string) value {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return anything(4)
	}
	return native(uint32(link.Index))
}

// Bits of ct state and of ct status, as the kernel has them.
const (
	stateEstablished = 1 << 1
	stateNew         = 1 << 3
	statusDNAT       = 1 << 5
	statusDNATDone   = 1 << 8
)

func (p Packet) state() uint32 {
	if p.Reply {
		return stateEstablished
	}
	return stateNew
}

func (p Packet) status() uint32 {
	if p.Translated {
		return statusDNAT | statusDNATDone
	}
	return 0
}

// ct is what the ct expression loads. Of the addresses of the flow nothing is
// said: translation has changed them.
func (p Packet) ct(key uint32) value {
	switch key {
	case unix.NFT_CT_STATE:
		return native(p.state())
	case unix.NFT_CT_STATUS:
		return native(p.status())
	case unix.NFT_CT_MARK:
		return native(p.Mark)
	case unix.NFT_CT_DIRECTION:
		return exactly([]byte{map[bool]byte{false: 0, true: 1}[p.Reply]})
	case unix.NFT_CT_PROTOCOL:
		return exactly([]byte{unix.IPPROTO_TCP})
	case unix.NFT_CT_L3PROTOCOL:
		return p.meta(unix.NFT_META_NFPROTO)
	case unix.NFT_CT_SRC, unix.NFT_CT_DST, unix.NFT_CT_HELPER, unix.NFT_CT_LABELS, unix.NFT_CT_SRC_IP6, unix.NFT_CT_DST_IP6:
		return anything(16)
	}
	return anything(4)
}
