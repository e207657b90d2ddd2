package proxy

import (
	"context"
	"net"
	"net/netip"
	"testing"

	"ftpgate/internal/lab/dnsd"
)

// resolveHere has all names asked of a server of the test.
func resolveHere(t *testing.T) *dnsd.Zone {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	zone, ended, before := dnsd.New(), make(chan error, 1), net.DefaultResolver
	go func() { ended <- zone.Serve(conn) }()
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		conn.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return zone
}

// A name that gets another address is told to sessions that run, too. While it
// has none, the last one is.
func TestAdvertiseNameIsAskedAgain(t *testing.T) {
	const name = "ftp.example.com."
	first, second := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")
	zone := resolveHere(t)
	zone.Set("ftp.example.com", first)
	g := newGateway(t, func(_ *Settings, s *Service) { s.AdvertiseName = name })
	d := g.loggedIn()
	if at := d.passive().Addr(); at != first {
		t.Errorf("227 names %v, want %v", at, first)
	}
	svc := g.services["files"]
	zone.Set("ftp.example.com", second)
	g.resolveAll(t.Context())
	g.eventually("the new address is known", func() bool { return *svc.resolved.Load() == second })
	if at := d.passive().Addr(); at != second {
		t.Errorf("227 names %v, want %v", at, second)
	}
	zone.Set("ftp.example.com")
	g.resolve(t.Context(), svc)
	if at := d.passive().Addr(); at != second {
		t.Errorf("227 names %v, want %v, the last that was known", at, second)
	}
	d.leave()
}

// A service whose name has never had an address names the one that the client
// dialled.
func TestAdvertiseNameWithoutAddress(t *testing.T) {
	resolveHere(t)
	d := newGateway(t, func(_ *Settings, s *Service) { s.AdvertiseName = "nobody.example.com." }).loggedIn()
	if at := d.passive().Addr(); at.String() != gatewayAddr {
		t.Errorf("227 names %v, want %s", at, gatewayAddr)
	}
	d.leave()
}
