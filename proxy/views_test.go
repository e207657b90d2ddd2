package proxy

import (
	"net/netip"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// view is the only session as it is shown.
func (g *gateway) view() api.Session {
	g.t.Helper()
	all := g.Sessions(api.Filter{})
	if len(all) != 1 {
		g.t.Fatalf("%d sessions are shown, want 1", len(all))
	}
	return all[0]
}

// wantDoing waits until the only session is shown as doing something.
func (g *gateway) wantDoing(phase, what string) api.Session {
	g.t.Helper()
	var v api.Session
	g.eventually("the session is shown as "+phase+": "+what, func() bool {
		v = g.view()
		return v.Phase == phase && v.Doing == what && !v.Busy
	})
	return v
}

// times are what no test can know.
var times = cmpopts.IgnoreTypes(time.Time{}, 0.)

// A session is shown with what it does, from its beginning to its end.
func TestSessionsAreShown(t *testing.T) {
	d := newGateway(t, onePort).connect()
	want := api.Session{
		ID: 1, Service: "files", Client: d.client.LocalAddr().String(), Gateway: d.client.RemoteAddr().String(),
		Backend: d.server.LocalAddr().String(), Protection: "clear", Phase: "greeting", Doing: "waiting for the greeting", Transfers: []api.Running{},
	}
	v := d.wantDoing("greeting", "waiting for the greeting")
	if diff := cmp.Diff(want, v, times); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if since := time.Since(v.Began); since < 0 || since > patience || v.Idle < 0 || v.Idle > patience.Seconds() {
		t.Errorf("it began at %v and is idle for %v s", v.Began, v.Idle)
	}
	d.reply("220 ready")
	d.wantDoing("login", "logging in")
	d.command("USER anna")
	d.reply("331 password")
	if v := d.wantDoing("login", "logging in"); v.User != "anna" {
		t.Errorf("who tries to log in is shown as %q", v.User)
	}
	d.command("PASS s3cret")
	d.reply("230 in")
	d.wantDoing("open", "idle")
	d.passive()
	d.command("RETR /pub/big <b>.iso")
	d.wantDoing("open", "RETR /pub/big <b>.iso, waiting for its data connection")
	d.carries(conntrack.Established, 0, 5000)
	d.wantDoing("open", "RETR /pub/big <b>.iso")
	d.reply("150 here it comes")
	v = d.wantDoing("open", "RETR /pub/big <b>.iso")
	if diff := cmp.Diff([]api.Running{{
		ID: "1.1", Verb: "RETR", Path: "/pub/big <b>.iso", Direction: "download", Mode: "PASV", Connected: true,
	}}, v.Transfers, times, cmpopts.IgnoreFields(api.Running{}, "Bytes")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	d.reply("226 done")
	if v := d.wantDoing("open", "idle"); v.Done != 1 || v.Failed != 0 || len(v.Transfers) != 0 {
		t.Errorf("behind a transfer it is shown as %+v", v)
	}
	d.command("REIN")
	d.reply("220 again")
	if v := d.wantDoing("login", "logging in"); v.User != "" {
		t.Errorf("behind REIN %q is shown as logged in", v.User)
	}
	if err := d.client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	d.wantDoing("client_gone", "waiting for the server's end, as the client has gone")
}

// The last word is said, and the client has yet to go.
func TestSessionsThatAreOver(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.server.Close()
	d.client.want(serverGone)
	d.wantDoing("over", "going down")
	d.client.Close()
	d.wantEnded(serverClosed)
}

func TestSessionsThatGoDown(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.command("RETR a")
	d.connected()
	done := make(chan struct{})
	go func() { defer close(done); d.Drain() }()
	d.wantDoing("open", "RETR a, then going down")
	d.reply("226 done")
	d.client.want(wordOfDrain)
	d.client.Close()
	<-done
}

func TestSessionsAreFiltered(t *testing.T) {
	g := newGateway(t)
	g.loggedIn()
	g.greeted()
	g.greetedFrom(otherClient)
	for _, tt := range []struct {
		filter api.Filter
		want   []uint64
	}{
		{api.Filter{}, []uint64{1, 2, 3}},
		{api.Filter{ID: 2}, []uint64{2}},
		{api.Filter{Client: clientAddr}, []uint64{1, 2}},
		{api.Filter{Client: "::ffff:" + clientAddr}, []uint64{1, 2}},
		{api.Filter{Client: "127.0.0.0/8"}, []uint64{1, 2, 3}},
		{api.Filter{Client: "127.0.0.4/30"}, []uint64{3}},
		{api.Filter{Client: "2001:db8::/32"}, nil},
		{api.Filter{Client: "anna"}, nil},
		{api.Filter{User: "anna"}, []uint64{1}},
		{api.Filter{User: "ann"}, nil},
		{api.Filter{Service: "files"}, []uint64{1, 2, 3}},
		{api.Filter{Service: "others"}, nil},
		{api.Filter{Client: clientAddr, User: "anna", ID: 2}, nil},
	} {
		var got []uint64
		for _, v := range g.Sessions(tt.filter) {
			got = append(got, v.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", tt.filter, diff)
		}
	}
}

func TestPinholesAreShown(t *testing.T) {
	d := newGateway(t, onePort, func(_ *Settings, s *Service) { s.PeerBits = PeerBits{V4: 24} }).loggedIn()
	if all := d.Pinholes(); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	at := d.passive()
	d.active()
	d.command("STOR a")
	opened := time.Now()
	want := []api.Pinhole{{
		Session: 1, Service: "files", Mode: "PORT", From: backendAddr, At: insideAddr + ":20000", To: clientAddr + ":40000",
	}}
	check := func(what string) {
		t.Helper()
		got := d.Pinholes()
		if diff := cmp.Diff(want, got, times); diff != "" {
			t.Fatalf("%s (-want +got):\n%s", what, diff)
		}
		if age := opened.Sub(got[0].Opened); age < 0 || age > patience {
			t.Errorf("%s: opened at %v", what, got[0].Opened)
		}
		if left := got[0].Remaining; (left > 0) == got[0].Used || left > pinholeLasts.Seconds() {
			t.Errorf("%s: %v s are left", what, left)
		}
	}
	want[0].At = d.Pinholes()[0].At // any of its range
	check("an active one, which has replaced the passive one")
	d.connected()
	want[0].Used = true
	check("a used one")
	d.reply("226 done")
	want = nil
	if all := d.Pinholes(); len(all) != 0 {
		t.Errorf("behind the transfer: %+v", all)
	}
	d.passive()
	opened = time.Now()
	want = []api.Pinhole{{
		Session: 1, Service: "files", Mode: "PASV", From: "127.0.0.0/24", At: at.String(), To: backendAddr + ":2000",
	}}
	check("a passive one, for a prefix")
}

func TestPinholesOfRelayedData(t *testing.T) {
	d := newGateway(t, relayAll, onePort).loggedIn()
	at := d.passive()
	want := []api.Pinhole{{
		Session: 1, Service: "files", Mode: "PASV", From: clientAddr, At: at.String(), To: backendAddr + ":2000", Relayed: true,
	}}
	if diff := cmp.Diff(want, d.Pinholes(), times); diff != "" { // not where it leads first
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPinholesOfTLSThatPasses(t *testing.T) {
	d := newGateway(t, passTLS).greeted()
	d.command("AUTH TLS")
	want := []api.Pinhole{{
		Session: 1, Service: "files", Mode: "AUTH", From: clientAddr, At: gatewayAddr + ":50000-50099", To: backendAddr + ":50000-50099",
	}}
	if diff := cmp.Diff(want, d.Pinholes(), times); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is renewed has its time again.
func TestRemainingTimeOfARenewedPinhole(t *testing.T) {
	d := newGateway(t, onePort).loggedIn()
	d.passive()
	d.command("RETR a")
	d.tick(pinholeLasts - 1)
	if left := d.Pinholes()[0].Remaining; left <= pinholeLasts.Seconds() {
		t.Errorf("%v s are left", left)
	}
}

func TestServicesAreShown(t *testing.T) {
	nobody := down(t)
	g := newGateway(t, func(s *Settings, svc *Service) {
		svc.Backends = append([]netip.AddrPort{nobody}, svc.Backends...)
		other := *svc
		other.Name, other.Mode, other.Backends, other.TLS.Mode = "out", Forward, nil, alg.PassTLS
		other.Listen = []netip.AddrPort{netip.MustParseAddrPort("127.0.0.8:0")}
		other.Intercept.From = prefixes(clientAddr + "/32")
		s.Services = append(s.Services, other)
	})
	d := g.loggedIn()
	d.passive()
	d.command("RETR a")
	want := []api.Service{
		{
			Name: "files", Mode: "reverse", TLS: "refuse", Listen: []string{gatewayAddr + ":0"}, Sessions: 1, Transfers: 1, Pinholes: 1,
			Backends: []api.Backend{{Address: nobody.String()}, {Address: g.backend.Addr().String(), Up: true}},
		},
		{Name: "out", Mode: "forward", TLS: "pass", Listen: []string{"127.0.0.8:0"}, Backends: []api.Backend{}},
	}
	check := func() {
		t.Helper()
		if diff := cmp.Diff(want, g.Services(), cmpopts.IgnoreFields(api.Service{}, "ToClients", "ToServers")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
	g.eventually("the transfer counts", func() bool { return g.Services()[0].Transfers == 1 })
	check()
	d.carries(conntrack.Established, 0, 5000)
	want[0].Pinholes = 0 // it is used
	check()
	d.reply("226 done")
	want[0].Transfers, want[0].Done = 0, 1
	check()
	d.firewall.hook(&d.firewall.onOpen, func(nft.Pinhole) error { return nft.ErrFull })
	d.refused("PORT 127,0,0,1,156,64", noPinhole)
	if n := g.SessionsLimit(); n < 1 {
		t.Errorf("there can be %d sessions", n)
	}
	if n := g.Relays(); n != 0 {
		t.Errorf("%d relays", n)
	}
}
