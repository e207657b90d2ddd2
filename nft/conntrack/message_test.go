package conntrack

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
)

// sample is a message as the kernel sends it, of our own encoding.
func sample(t testing.TB, addr string) []byte {
	t.Helper()
	tuple := Tuple{Src: netip.MustParseAddrPort(addr), Dst: netip.MustParseAddrPort(addr)}
	m, err := request(msgNew, 0, tuple.Src.Addr(), func(ae *netlink.AttributeEncoder) {
		tuple.encode(ae, ctaTupleOrig)
		tuple.encode(ae, ctaTupleReply)
		ae.Uint32(ctaStatus, uint32(DNAT))
		ae.Uint32(ctaMark, 0x400)
		ae.Uint32(ctaID, 7)
		ae.Nested(ctaHelp, func(ae *netlink.AttributeEncoder) error {
			ae.String(ctaHelpName, "ftp")
			return nil
		})
		ae.Nested(ctaProtoInfo, func(ae *netlink.AttributeEncoder) error {
			ae.Nested(ctaProtoInfoTCP, func(ae *netlink.AttributeEncoder) error {
				ae.Uint8(ctaTCPState, uint8(TimeWait))
				ae.Bytes(ctaTCPFlagsReply, []byte{4, 0})
				return nil
			})
			return nil
		})
		for _, attr := range []uint16{ctaCountersOrig, ctaCountersReply} {
			ae.Nested(attr, func(ae *netlink.AttributeEncoder) error {
				ae.Uint64(ctaCountersPackets, 3)
				ae.Uint64(ctaCountersBytes, 1<<40)
				return nil
			})
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return m.Data
}

func TestParse(t *testing.T) {
	for _, addr := range []string{"198.51.100.7:50000", "[2001:db8:1::7]:50000"} {
		ap := netip.MustParseAddrPort(addr)
		want := Flow{Orig: Tuple{ap, ap}, Reply: Tuple{ap, ap}, Mark: 0x400, Status: DNAT, State: TimeWait,
			Bytes: [2]uint64{1 << 40, 1 << 40}, Packets: [2]uint64{3, 3}, ID: 7, Helper: "ftp", AcceptorClosed: true}
		b := sample(t, addr)
		if got, err := parse(b); err != nil || got != want {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		for n := range len(b) {
			got, err := parse(b[:n])
			if err == nil && (got.Orig != want.Orig || got.Reply != want.Reply) {
				t.Errorf("%d of %d bytes: %+v without an error", n, len(b), got)
			}
			if err != nil && !errors.Is(err, errMalformed) {
				t.Errorf("%d of %d bytes: %v", n, len(b), err)
			}
		}
	}
}

func TestParseOtherProtocols(t *testing.T) {
	b := sample(t, "198.51.100.7:50000")
	// The protocol number of the first tuple: header, tuple, IP with two
	// addresses, proto, number.
	const protocol = headerLen + 4 + 4 + 2*8 + 4 + 4
	if b[protocol] != 6 {
		t.Fatalf("the test looks for the protocol in the wrong place: %v", b)
	}
	b[protocol] = 17
	if _, err := parse(b); !errors.Is(err, errNotTCP) {
		t.Errorf("a UDP flow: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	for _, addr := range []string{"198.51.100.7:50000", "[2001:db8:1::7]:50000"} {
		f.Add(sample(f, addr))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		flow, err := parse(b)
		switch {
		case err == nil:
			for _, tuple := range []Tuple{flow.Orig, flow.Reply} {
				if !tuple.Src.IsValid() || !tuple.Dst.IsValid() {
					t.Errorf("a flow without addresses: %+v", flow)
				}
			}
			_ = flow.State.String() + flow.Orig.String()
			_, _ = flow.Payload(0), flow.Payload(1)
		case !errors.Is(err, errMalformed) && !errors.Is(err, errNotTCP):
			t.Errorf("an error of no class: %v", err)
		}
	})
}

// However large the table is, sweeping takes no more than a fiftieth of the time.
func TestSweepsMakePauses(t *testing.T) {
	for _, test := range []struct{ took, want time.Duration }{
		{0, 2 * time.Second},
		{40 * time.Millisecond, 2 * time.Second},
		{100 * time.Millisecond, 5 * time.Second},
		{2 * time.Second, 100 * time.Second},
	} {
		if got := pause(2*time.Second, test.took); got != test.want {
			t.Errorf("after a sweep of %v the next is %v from its beginning, want %v", test.took, got, test.want)
		}
	}
}
