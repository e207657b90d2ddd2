package proxy

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

// visit is a client that comes at some time.
type visit struct {
	at     time.Duration
	client string
	want   refusal
}

func prefixes(all ...string) (p []netip.Prefix) {
	for _, s := range all {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestDoor(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	tests := map[string]struct {
		global  Limits
		service Service
		visits  []visit
	}{
		"everybody by default": {visits: []visit{{0, a, ""}, {0, a, ""}, {0, "2001:db8::1", ""}}},
		"clients alone": {
			service: Service{Clients: prefixes("192.0.2.0/31")},
			visits:  []visit{{0, a, ""}, {0, b, denied}, {0, "2001:db8::1", denied}},
		},
		"deny_clients before clients": {
			service: Service{Clients: prefixes("192.0.2.0/24"), DenyClients: prefixes("192.0.2.2/32")},
			visits:  []visit{{0, a, ""}, {0, b, denied}},
		},
		"sessions in all": {
			global: Limits{Sessions: 2},
			visits: []visit{{0, a, ""}, {0, b, ""}, {0, "192.0.2.3", tooMany}},
		},
		"sessions of a service": {
			global: Limits{Sessions: 10}, service: Service{Limits: Limits{Sessions: 1}},
			visits: []visit{{0, a, ""}, {0, b, tooMany}},
		},
		"sessions per client": {
			service: Service{Limits: Limits{SessionsPerClient: 1}},
			visits:  []visit{{0, a, ""}, {0, a, tooManyClient}, {0, b, ""}},
		},
		"an IPv6 client is a /64": {
			service: Service{Limits: Limits{SessionsPerClient: 1}},
			visits:  []visit{{0, "2001:db8::1", ""}, {0, "2001:db8::ffff", tooManyClient}, {0, "2001:db8:0:1::1", ""}},
		},
		"new sessions per client": {
			service: Service{Limits: Limits{NewPerClient: Rate{2, time.Minute}}},
			visits: []visit{
				{0, a, ""}, {0, a, ""}, {0, a, tooFastClient}, {0, b, ""},
				{29 * time.Second, a, tooFastClient}, {30 * time.Second, a, ""}, {30 * time.Second, a, tooFastClient},
				{time.Hour, a, ""}, {time.Hour, a, ""}, {time.Hour, a, tooFastClient},
			},
		},
		"exempt from the limits per client": {
			global:  Limits{Sessions: 3},
			service: Service{Limits: Limits{SessionsPerClient: 1, NewPerClient: Rate{1, time.Hour}, Exempt: prefixes("192.0.2.1/32")}},
			visits:  []visit{{0, a, ""}, {0, a, ""}, {0, b, ""}, {0, a, tooMany}},
		},
		"exempt, and denied": {
			service: Service{DenyClients: prefixes("192.0.2.0/24"), Limits: Limits{Exempt: prefixes("192.0.2.0/24")}},
			visits:  []visit{{0, a, denied}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			d, svc, now := newDoor(), &service{Service: tt.service}, time.Now()
			d.set(Settings{Limits: tt.global})
			for i, v := range tt.visits {
				if got := d.enter(svc, netip.MustParseAddr(v.client), now.Add(v.at)); got != v.want {
					t.Errorf("visit %d of %s after %v: %q, want %q", i+1, v.client, v.at, got, v.want)
				}
			}
		})
	}
}

// Who leaves makes room, and who is forgotten is one who owes nothing.
func TestDoorForgets(t *testing.T) {
	d, now := newDoor(), time.Now()
	svc := &service{Service: Service{Name: "files", Limits: Limits{SessionsPerClient: 1, NewPerClient: Rate{1, time.Minute}}}}
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	for _, client := range []netip.Addr{a, b} {
		if why := d.enter(svc, client, now); why != "" {
			t.Fatalf("%v: %s", client, why)
		}
	}
	d.leave(svc, a)
	d.tick(now.Add(sweepEvery))
	if n := len(d.clients); n != 2 {
		t.Errorf("%d clients are remembered, want 2: one has a session, one a debt", n)
	}
	if why := d.enter(svc, a, now.Add(30*time.Second)); why != tooFastClient {
		t.Errorf("too early: %q", why)
	}
	d.tick(now.Add(time.Minute + sweepEvery))
	if n := len(d.clients); n != 1 {
		t.Errorf("%d clients are remembered, want the one with a session", n)
	}
	d.leave(svc, b)
	d.tick(now.Add(time.Minute + 2*sweepEvery))
	if len(d.clients) != 0 || d.sessions != 0 || d.services["files"] != 0 {
		t.Errorf("left behind: %v, %d sessions, %v", d.clients, d.sessions, d.services)
	}
}

// A reload changes the rate for new sessions. Old ones that leave have no say in it.
func TestRateAcrossAReload(t *testing.T) {
	d, now := newDoor(), time.Now()
	a := netip.MustParseAddr("192.0.2.1")
	with := func(r Rate) *service {
		return &service{Service: Service{Name: "files", Limits: Limits{NewPerClient: r}}}
	}
	old, young, none := with(Rate{100, time.Minute}), with(Rate{1, time.Minute}), with(Rate{})
	enter := func(svc *service, want refusal) {
		t.Helper()
		if got := d.enter(svc, a, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	enter(old, "")
	enter(old, "")
	enter(young, "")
	d.leave(old, a)
	d.leave(old, a)
	enter(young, tooFastClient)
	enter(none, "") // without a limit there is none for those either who are known
}

func TestLimitFromDescriptors(t *testing.T) {
	if n := (Settings{Limits: Limits{Sessions: 7}}).sessions(); n != 7 {
		t.Errorf("a limit of 7 is %d", n)
	}
	if n := (Settings{}).sessions(); n < 1 || n > maxDefaultSessions {
		t.Errorf("the default limit is %d", n)
	}
}

// A link-local address comes with its zone, which no prefix contains.
func TestLinkLocalClient(t *testing.T) {
	client := plain(&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 1024}).Addr()
	svc := &service{Service: Service{DenyClients: prefixes("fe80::/10")}}
	if why := newDoor().enter(svc, client, time.Now()); why != denied {
		t.Errorf("%v: %q, want %q", client, why, denied)
	}
}
