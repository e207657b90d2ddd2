package conntrack

import (
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
	ad, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return f, err
	}
	ad.ByteOrder = binary.BigEndian
	for ad.Next() {
		switch ad.Type() {
		case ctaTupleOrig:
			ad.Nested(f.Orig.parse)
		case ctaTupleReply:
			ad.Nested(f.Reply.parse)
		case ctaStatus:
			f.Status = Status(ad.Uint32())
		case ctaProtoInfo:
			ad.Nested(f.parseProtoInfo)
		case ctaHelp:
			ad.Nested(f.parseHelp)
		case ctaMark:
			f.Mark = ad.Uint32()
		case ctaCountersOrig:
			ad.Nested(f.parseCounters(0))
		case ctaCountersReply:
			ad.Nested(f.parseCounters(1))
		case ctaID:
			f.ID = ad.Uint32()
		}
	}
	return f, ad.Err()
}

func (t *Tuple) valid() bool {
	return t.Src.IsValid() && t.Dst.IsValid() && t.Src.Addr().Is4() == t.Dst.Addr().Is4()
}

func (t *Tuple) parse(ad *netlink.AttributeDecoder) error {
	var src, dst netip.Addr
	var srcPort, dstPort uint16
	for ad.Next() {
		switch ad.Type() {
		case ctaTupleIP:
			ad.Nested(func(ad *netlink.AttributeDecoder) error {
				for ad.Next() {
					switch ad.Type() {
					case ctaIPv4Src, ctaIPv6Src:
						src, _ = netip.AddrFromSlice(ad.Bytes())
					case ctaIPv4Dst, ctaIPv6Dst:
						dst, _ = netip.AddrFromSlice(ad.Bytes())
					}
				}
				return nil
			})
		case ctaTupleProto:
			ad.Nested(func(ad *netlink.AttributeDecoder) (err error) {
				srcPort, dstPort, err = parsePorts(ad)
				return err
			})
		}
	}
	t.Src, t.Dst = netip.AddrPortFrom(src, srcPort), netip.AddrPortFrom(dst, dstPort)
	return nil
}

func parsePorts(ad *netlink.AttributeDecoder) (src, dst uint16, err error) {
	for ad.Next() {
		switch ad.Type() {
		case ctaProtoNum:
			if ad.Uint8() != unix.IPPROTO_TCP && ad.Err() == nil {
				return 0, 0, errNotTCP
			}
		case ctaProtoSrcPort:
			src = ad.Uint16()
		case ctaProtoDstPort:
			dst = ad.Uint16()
		}
	}
	return src, dst, nil
}

func (f *Flow) parseProtoInfo(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == ctaProtoInfoTCP {
			ad.Nested(f.parseTCP)
		}
	}
	return nil
}

func (f *Flow) parseTCP(ad *netlink.AttributeDecoder) error {
	const closeInit = 4 // IP_CT_TCP_FLAG_CLOSE_INIT
	for ad.Next() {
		switch ad.Type() {
		case ctaTCPState:
			f.State = TCPState(ad.Uint8())
		case ctaTCPFlagsOrig: // struct nf_ct_tcp_flags: flags, mask
			b := ad.Bytes()
			f.DiallerClosed = len(b) > 0 && b[0]&closeInit != 0
		case ctaTCPFlagsReply:
			b := ad.Bytes()
			f.AcceptorClosed = len(b) > 0 && b[0]&closeInit != 0
		}
	}
	return nil
}

func (f *Flow) parseHelp(ad *netlink.AttributeDecoder) error {
	for ad.Next() {
		if ad.Type() == ctaHelpName {
			f.Helper = ad.String()
		}
	}
	return nil
}

func (f *Flow) parseCounters(direction int) func(*netlink.AttributeDecoder) error {
	return func(ad *netlink.AttributeDecoder) error {
		for ad.Next() {
			switch ad.Type() {
			case ctaCountersPackets:
				f.Packets[direction] = ad.Uint64()
			case ctaCountersBytes:
				f.Bytes[direction] = ad.Uint64()
			}
		}
		return nil
	}
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
