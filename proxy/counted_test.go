package proxy

import (
	"net/netip"
	"testing"

	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/audit"
)

// Servers repeat the name of a file in their replies. One that looks like a
// number of bytes is not believed against the kernel's count.
func TestANameIsNoNumberOfBytes(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("TYPE I")
	d.reply("200 ok")
	d.active()
	d.carries(conntrack.Close, 0, 700)
	d.command("STOR up (1 bytes)")
	d.reply("150 Opening BINARY mode data connection for up (1 bytes)")
	d.reply("226 done")
	if got := d.transfers(1)[0]; got.Bytes != 700 || got.Source != audit.Conntrack {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}

func TestWhichNumberAgrees(t *testing.T) {
	for _, tt := range []struct {
		n, counted uint64
		want       bool
	}{
		{1000, 1000, true}, {1000, 1050, true}, {1000, 1051, false}, {1000, 999, false},
		{1, 700, false}, {1, 1, true}, {1 << 30, 1<<30 + 1<<20, true},
	} {
		if got := agrees(tt.n, tt.counted); got != tt.want {
			t.Errorf("%d, by the kernel's count %d: %t", tt.n, tt.counted, got)
		}
	}
}

// News that come late are of the pinhole that led where the connection went,
// also when its port has been leased again.
func TestLateNewsOfAPortThatIsLeasedAgain(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Ports = PortRange{61000, 61000} }).loggedIn()
	d.passive()
	p := d.only()
	c := admitted(p.rule.From, p.rule.At, p.rule.To)
	c.State, c.Packets[1], c.Bytes[1] = conntrack.TimeWait, 2, 2*52+8+44
	d.command("RETR a")
	d.reply("150 here")
	d.reply("226 done")
	if at := d.passiveTo(netip.MustParseAddrPort(backendAddr + ":2001")); at != p.rule.At {
		t.Fatalf("the second pinhole is at %v, the first was at %v", at, p.rule.At)
	}
	for range 2 { // the first finds it, the second looks at it
		d.Swept([]conntrack.Flow{c})
	}
	if got := d.transfers(1)[0]; got.Bytes != 44 || got.ServerSide.Dst != p.rule.To {
		t.Errorf("the record is %+v", got)
	}
	if d.only().connected.Load() {
		t.Error("the second pinhole is taken for used")
	}
	d.leave()
}

// What the receiver sends are acknowledgements, which can look as if there was
// something in them. Data that goes both ways is data all the same.
func TestAcknowledgementsAreNoData(t *testing.T) {
	for _, tt := range []struct{ sent, want uint64 }{{48, 0}, {500, 500}} {
		d := newGateway(t).loggedIn()
		d.passive()
		d.command("RETR a")
		d.reply("150 here")
		d.carries(conntrack.TimeWait, tt.sent, 5000) // in four packets each way
		d.reply("226 done")
		d.transfers(1)
		s := d.Sessions(api.Filter{})[0]
		if s.ToClient != 5000 || s.ToServer != tt.want {
			t.Errorf("%d bytes to the client and %d to the server, want 5000 and %d", s.ToClient, s.ToServer, tt.want)
		}
		d.leave()
	}
}

// The news of a connection may come when it has been counted and cleared away.
func TestNewsOfAClearedConnection(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.active()
	p := d.only()
	c := admitted(p.rule.From, p.rule.At, p.rule.To)
	c.State, c.Status, c.Packets[1], c.Bytes[1] = conntrack.TimeWait, conntrack.DNAT|conntrack.SeenReply|conntrack.Assured, 2, 2*52+8+44
	d.ledger.mu.Lock()
	d.ledger.cleared[c.ID] = c // by somebody who came between a pinhole's use and its flow
	d.ledger.mu.Unlock()
	d.Connected(c)
	d.command("RETR a")
	d.reply("150 here")
	d.reply("226 done")
	if got := d.transfers(1)[0]; got.Source != audit.Conntrack || !got.ClientSide.Dst.IsValid() {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}
