package failures

import (
	"fmt"
	"net/netip"
	"testing"

	"ftpgate/proxy/api"
)

func add(l *Log, service, client string, session int) {
	a := netip.MustParseAddr(client)
	l.Add(a, api.Explanation{Failure: api.Failure{
		ID: fmt.Sprintf("%d.1", session), Service: service, Client: netip.AddrPortFrom(a, 4000).String(),
	}})
}

func all(api.Failure) bool { return true }

// One client that fails all the time evicts nobody but itself.
func TestAScannerEvictsNobody(t *testing.T) {
	var l Log
	add(&l, "files", "198.51.100.7", 1)
	add(&l, "files", "2001:db8::7", 2)
	for i := range 3 * Max {
		add(&l, "files", "203.0.113.1", 10+i)
	}
	if n := l.Len(); n != Max {
		t.Fatalf("%d failures are kept, want %d", n, Max)
	}
	for _, id := range []string{"1.1", "2", fmt.Sprint(10 + 3*Max - 1)} {
		if _, ok := l.Find(id); !ok {
			t.Errorf("failure %s is not kept", id)
		}
	}
	if _, ok := l.Find("10"); ok {
		t.Error("the scanner's first failure is kept")
	}
	if e, ok := l.OfClient(netip.MustParseAddr("198.51.100.7")); !ok || e.ID != "1.1" {
		t.Errorf("the client's failure is %v, %t", e.ID, ok)
	}
}

// An IPv6 host that takes another address each time is one client.
func TestOneHostsAddressesShare(t *testing.T) {
	var l Log
	add(&l, "files", "198.51.100.7", 1)
	for i := range Max {
		add(&l, "files", fmt.Sprintf("2001:db8::%x", i+1), 10+i)
	}
	if _, ok := l.Find("1.1"); !ok {
		t.Error("the other client's failure was evicted")
	}
}

// With as many clients as places the oldest goes.
func TestEqualSharesLoseTheOldest(t *testing.T) {
	var l Log
	for i := range Max + 10 {
		add(&l, "files", fmt.Sprintf("10.0.%d.%d", i/250, i%250+1), i)
	}
	list := l.List(all)
	if len(list) != Max || list[0].ID != fmt.Sprintf("%d.1", Max+9) || list[Max-1].ID != "10.1" {
		t.Errorf("%d kept, from %s to %s", len(list), list[0].ID, list[len(list)-1].ID)
	}
	if len(l.shares) != Max {
		t.Errorf("%d shares for %d clients", len(l.shares), Max)
	}
}

func TestAnIDIsNoPrefixOfAnother(t *testing.T) {
	var l Log
	add(&l, "files", "198.51.100.7", 42)
	for _, id := range []string{"4", "42.", "42.11", ""} {
		if e, ok := l.Find(id); ok {
			t.Errorf("%q finds %s", id, e.ID)
		}
	}
}
