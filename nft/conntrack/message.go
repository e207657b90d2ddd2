package conntrack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Message types, of linux/netfilter/nfnetlink_conntrack.h.
const (
	msgNew    = unix.NFNL_SUBSYS_CTNETLINK << 8
	msgGet    = msgNew | 1
	msgDelete = msgNew | 2
)

// Attributes of an entry and of what is nested in it.
const (
	ctaTupleOrig, ctaTupleReply, ctaStatus, ctaProtoInfo = 1, 2, 3, 4
	ctaHelp                                              = 5
	ctaMark, ctaCountersOrig, ctaCountersReply, ctaID    = 8, 9, 10, 12
	ctaMarkMask                                          = 21

	ctaTupleIP, ctaTupleProto                      = 1, 2
	ctaIPv4Src, ctaIPv4Dst, ctaIPv6Src, ctaIPv6Dst = 1, 2, 3, 4
	ctaProtoNum, ctaProtoSrcPort, ctaProtoDstPort  = 1, 2, 3
	ctaCountersPackets, ctaCountersBytes           = 1, 2
	ctaProtoInfoTCP                                = 1
	ctaTCPState, ctaTCPFlagsOrig, ctaTCPFlagsReply = 1, 4, 5
	ctaHelpName                                    = 1
)

// headerLen is the length of struct nfgenmsg, before the attributes.
const headerLen = 4

var (
	errNotTCP    = errors.New("not a TCP flow") // other protocols are passed over
	errMalformed = errors.New("malformed conntrack message")
)

// parse reads the flow of a message. It returns errNotTCP for other protocols
// and errMalformed for what no kernel sends.
func parse(data []byte) (Flow, error) {
	if len(data) < headerLen {
		return Flow{}, fmt.Errorf("%w: %d bytes are less than its header", errMalformed, len(data))
	}
	f, err := parseAttributes(data[headerLen:])
	switch {
	case errors.Is(err, errNotTCP):
		return Flow{}, err
	case err != nil:
		return Flow{}, fmt.Errorf("%w: %w", errMalformed, err)
	case !f.Orig.valid() || !f.Reply.valid():
		return Flow{}, fmt.Errorf("%w: not both tuples", errMalformed)
	}
	return f, nil
}

func parseAttributes(b []byte) (f Flow, err error) {
	a := attributes{rest: b}
	for a.next() {
		switch a.kind {
		case ctaTupleOrig:
			a.join(f.Orig.parse(a.nested()))
		case ctaTupleReply:
			a.join(f.Reply.parse(a.nested()))
		case ctaStatus:
			f.Status = Status(a.uint32())
		case ctaProtoInfo:
			a.join(f.parseProtoInfo(a.nested()))
		case ctaHelp:
			a.join(f.parseHelp(a.nested()))
		case ctaMark:
			f.Mark = a.uint32()
		case ctaCountersOrig:
			a.join(f.parseCounters(0, a.nested()))
		case ctaCountersReply:
			a.join(f.parseCounters(1, a.nested()))
		case ctaID:
			f.ID = a.uint32()
		}
	}
	return f, a.err
}

func (t *Tuple) valid() bool {
	return t.Src.IsValid() && t.Dst.IsValid() && t.Src.Addr().Is4() == t.Dst.Addr().Is4()
}

func (t *Tuple) parse(a attributes) error {
	var src, dst netip.Addr
	var srcPort, dstPort uint16
	for a.next() {
		switch a.kind {
		case ctaTupleIP:
			ip := a.nested()
			for ip.next() {
				switch ip.kind {
				case ctaIPv4Src, ctaIPv6Src:
					src, _ = netip.AddrFromSlice(ip.value)
				case ctaIPv4Dst, ctaIPv6Dst:
					dst, _ = netip.AddrFromSlice(ip.value)
				}
			}
			a.join(ip.err)
		case ctaTupleProto:
			var err error
			srcPort, dstPort, err = parsePorts(a.nested())
			a.join(err)
		}
	}
	t.Src, t.Dst = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
	return a.err
}

func parsePorts(a attributes) (src, dst uint16, err error) {
	for a.next() {
		switch a.kind {
		case ctaProtoNum:
			if a.uint8() != unix.IPPROTO_TCP && a.err == nil {
				return 0, 0, errNotTCP
			}
		case ctaProtoSrcPort:
			src = a.uint16()
		case ctaProtoDstPort:
			dst = a.uint16()
		}
	}
	return src, dst, a.err
}

func (f *Flow) parseProtoInfo(a attributes) error {
	for a.next() {
		if a.kind == ctaProtoInfoTCP {
			a.join(f.parseTCP(a.nested()))
		}
	}
	return a.err
}

func (f *Flow) parseTCP(a attributes) error {
	const closeInit = 4                                                            // IP_CT_TCP_FLAG_CLOSE_INIT
	closed := func() bool { return len(a.value) > 0 && a.value[0]&closeInit != 0 } // struct nf_ct_tcp_flags: flags, mask
	for a.next() {
		switch a.kind {
		case ctaTCPState:
			f.State = TCPState(a.uint8())
		case ctaTCPFlagsOrig:
			f.DiallerClosed = closed()
		case ctaTCPFlagsReply:
			f.AcceptorClosed = closed()
		}
	}
	return a.err
}

func (f *Flow) parseHelp(a attributes) error {
	for a.next() {
		if a.kind == ctaHelpName {
			f.Helper = string(bytes.TrimRight(a.value, "\x00"))
		}
	}
	return a.err
}

func (f *Flow) parseCounters(direction int, a attributes) error {
	for a.next() {
		switch a.kind {
		case ctaCountersPackets:
			f.Packets[direction] = a.uint64()
		case ctaCountersBytes:
			f.Bytes[direction] = a.uint64()
		}
	}
	return a.err
}

// request builds a message for the family of a; the zero Addr is any family.
func request(kind netlink.HeaderType, flags netlink.HeaderFlags, a netip.Addr, attrs func(*netlink.AttributeEncoder)) (netlink.Message, error) {
	ae := netlink.NewAttributeEncoder()
	ae.ByteOrder = binary.BigEndian
	attrs(ae)
	b, err := ae.Encode()
	if err != nil {
		return netlink.Message{}, err
	}
	family := byte(unix.AF_UNSPEC)
	switch {
	case a.Is4():
		family = unix.AF_INET
	case a.Is6():
		family = unix.AF_INET6
	}
	return netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | flags},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, b...),
	}, nil
}

// encode adds the tuple as the given attribute.
func (t Tuple) encode(ae *netlink.AttributeEncoder, attr uint16) {
	src, dst := uint16(ctaIPv4Src), uint16(ctaIPv4Dst)
	if t.Src.Addr().Is6() {
		src, dst = ctaIPv6Src, ctaIPv6Dst
	}
	ae.Nested(attr, func(ae *netlink.AttributeEncoder) error {
		ae.Nested(ctaTupleIP, func(ae *netlink.AttributeEncoder) error {
			ae.Bytes(src, t.Src.Addr().AsSlice())
			ae.Bytes(dst, t.Dst.Addr().AsSlice())
			return nil
		})
		ae.Nested(ctaTupleProto, func(ae *netlink.AttributeEncoder) error {
			ae.Uint8(ctaProtoNum, unix.IPPROTO_TCP)
			ae.Uint16(ctaProtoSrcPort, t.Src.Port())
			ae.Uint16(ctaProtoDstPort, t.Dst.Port())
			return nil
		})
		return nil
	})
}
