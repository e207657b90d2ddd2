package dnsd_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"ftpgate/internal/lab/dnsd"

	"github.com/google/go-cmp/cmp"
)

func TestResolverUnderstands(t *testing.T) {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	zone, ended := dnsd.New(), make(chan error, 1)
	go func() { ended <- zone.Serve(conn) }()
	resolver := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	v4, v6 := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::1")
	zone.Set("ftp.example.com", v4, v6)
	for network, want := range map[string]netip.Addr{"ip4": v4, "ip6": v6} {
		got, err := resolver.LookupNetIP(t.Context(), network, "ftp.example.com.")
		if diff := cmp.Diff([]string{want.String()}, texts(got)); diff != "" || err != nil {
			t.Errorf("%s: %v, -want +got:\n%s", network, err, diff)
		}
	}
	zone.Set("ftp.example.com")
	_, err = resolver.LookupNetIP(t.Context(), "ip4", "ftp.example.com.")
	if e, ok := errors.AsType[*net.DNSError](err); !ok || !e.IsNotFound {
		t.Errorf("a name that is gone: %v, want not found", err)
	}
	conn.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func texts(addrs []netip.Addr) (all []string) {
	for _, a := range addrs {
		all = append(all, a.Unmap().String())
	}
	return all
}
