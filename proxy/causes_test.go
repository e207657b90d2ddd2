package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"
)

// What explain shows of a set-up that has got no port ends with the lines of it.
func TestTheLinesOfALostSetUp(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	passive, active := d.gateway.loggedIn(), d.gateway.loggedIn()
	passive.passive()
	active.active()
	d.command("PASV")
	d.server.send("227 Entering Passive Mode (127,0,0,3,200,1)")
	d.client.want("425 The gateway has no free data port: try again later")
	d.refused("PORT 127,0,0,1,200,2", "425 The gateway has no free data port: try again later")
	for id, want := range map[string]string{"1.1": "server 227 ", "1.2": "gateway 425 "} {
		var e api.Explanation
		d.eventually(id+" is written down", func() (ok bool) {
			e, _ = d.Explain(id)
			return e.ID == id
		})
		last := e.Lines[len(e.Lines)-1]
		if e.Cause != string(cause.PortsExhausted) || !strings.HasPrefix(last.From+" "+last.Text, want) || !slices.Contains(e.Evidence, "the final reply was 425") {
			t.Errorf("%s: %+v", id, e)
		}
	}
	for _, d := range []*dialogue{d, passive, active} {
		d.leave()
	}
}

// A client that goes is why its data connection breaks, whatever the server says.
func TestAServerThatSaysWhatAClientDid(t *testing.T) {
	for name, test := range map[string]struct {
		reply string
		want  cause.Cause
	}{"that it broke": {"426 broken pipe", cause.Aborted}, "something else": {"550 no such file", cause.ServerError}} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t).loggedIn()
			d.passive()
			d.carries(conntrack.Close, 0, 100)
			d.command("RETR a")
			d.reply("150 here")
			if err := d.client.CloseWrite(); err != nil {
				t.Fatal(err)
			}
			d.server.wantEnd()
			d.server.send(test.reply)
			if got := d.transfers(1)[0]; got.Cause != string(test.want) {
				t.Errorf("the record is %+v", got)
			}
			d.server.Close()
			d.client.Close()
		})
	}
}

// Data that is sent and answered moves. Probes of a peer that does not read, and
// what is sent to nobody again and again, do not.
func TestWhatMoves(t *testing.T) {
	six := conntrack.Flow{Orig: conntrack.Tuple{Src: netip.MustParseAddrPort("[2001:db8::1]:4000")}}
	for name, test := range map[string]struct {
		before, now conntrack.Flow
		packets     [2]uint64
		bytes       [2]uint64
		want        bool
	}{
		"nothing":                        {},
		"a download":                     {packets: [2]uint64{1, 2}, bytes: [2]uint64{52, 3000}, want: true},
		"an upload":                      {packets: [2]uint64{3, 1}, bytes: [2]uint64{4500, 52}, want: true},
		"few bytes":                      {packets: [2]uint64{1, 1}, bytes: [2]uint64{52 + 20, 52}, want: true},
		"window probes":                  {packets: [2]uint64{5, 5}, bytes: [2]uint64{5 * 52, 5 * 52}},
		"probes of a byte":               {packets: [2]uint64{5, 5}, bytes: [2]uint64{5 * 53, 5 * 64}},
		"without timestamps":             {packets: [2]uint64{5, 5}, bytes: [2]uint64{5 * 40, 5 * 41}},
		"the same again, to nobody":      {packets: [2]uint64{0, 3}, bytes: [2]uint64{0, 4500}},
		"window probes of IPv6":          {before: six, now: six, packets: [2]uint64{5, 5}, bytes: [2]uint64{5 * 72, 5 * 72}},
		"a download of IPv6":             {before: six, now: six, packets: [2]uint64{1, 1}, bytes: [2]uint64{72, 1500}, want: true},
		"many packets of several looks":  {packets: [2]uint64{900, 1000}, bytes: [2]uint64{900 * 52, 1_500_000}, want: true},
		"one packet, many bytes (GRO)":   {packets: [2]uint64{1, 1}, bytes: [2]uint64{52, 64_000}, want: true},
		"acknowledgements without data":  {packets: [2]uint64{4, 0}, bytes: [2]uint64{4 * 52, 0}},
		"selective acknowledgements too": {packets: [2]uint64{4, 4}, bytes: [2]uint64{4 * 64, 4 * 52}},
	} {
		t.Run(name, func(t *testing.T) {
			test.before.Packets, test.before.Bytes = [2]uint64{10, 10}, [2]uint64{1000, 1000}
			for i := range test.now.Bytes {
				test.now.Packets[i], test.now.Bytes[i] = test.before.Packets[i]+test.packets[i], test.before.Bytes[i]+test.bytes[i]
			}
			if got := moves(test.before, test.now); got != test.want {
				t.Errorf("it moves: %t", got)
			}
		})
	}
}

// A server that refuses a data connection for its TLS has ended it: the client,
// which may wait for data and not for the reply, is not left with it.
func TestRefusalEndsPrivateDataThatIsUnused(t *testing.T) {
	k := newKeyring(t)
	config := k.client()
	d := newGateway(t, k.terminate).overTLS(config)
	c := d.privateData(config)
	d.command("RETR a")
	d.eventually("both halves are joined", func() bool {
		d.gateway.relays.mu.Lock()
		defer d.gateway.relays.mu.Unlock()
		for r := range d.gateway.relays.running {
			return r.joined.Load() != nil
		}
		return false
	})
	d.reply("522 session reuse required")
	c.client.wantReset()
	c.server.wantReset()
	d.wantNoRelays()
}
