package nft_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpgate/nft"
)

func TestList(t *testing.T) {
	eachFamily(t, func(s *scene, table *nft.Table, a family) {
		passive := a.passive(61000, s.listen(s.Server, a.servers))
		passive.Timeout = nft.DefaultTimeout
		active := a.active(20000, s.listen(s.Client, a.client))
		active.Timeout = 90 * time.Second
		again := a.passive(61001, s.listen(s.Server, a.servers))
		again.Source, again.Timeout = netip.AddrPortFrom(a.wan, 0), time.Hour
		want := []nft.Pinhole{active, passive, again}
		if a.wan.Less(a.lan) { // in the order of At
			want = []nft.Pinhole{passive, again, active}
		}
		for _, p := range want {
			s.mustOpen(table, p)
		}
		var got []nft.Pinhole
		for _, l := range s.list(table) {
			if l.Remaining <= l.Timeout-10*time.Second || l.Remaining > l.Timeout {
				t.Errorf("%v has %v left of %v", l.Pinhole, l.Remaining, l.Timeout)
			}
			got = append(got, l.Pinhole)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y }),
			cmp.Comparer(func(x, y netip.AddrPort) bool { return x == y })); diff != "" {
			t.Errorf("-want +got\n%s", diff)
		}
		if n, err := table.CloseAll(); n != 3 || err != nil {
			t.Errorf("closed %d, %v", n, err)
		}
	})
}

func TestPinholesOfAnotherProcess(t *testing.T) {
	eachKernel(t, func(s *scene) {
		listed := func() (l []nft.Listed) {
			s.Helper()
			err := s.Gateway.Do(func() (err error) {
				l, err = nft.Pinholes(nft.DefaultName)
				return err
			})
			if err != nil {
				s.Fatal(err)
			}
			return l
		}
		if l := listed(); len(l) != 0 {
			s.Errorf("without a table: %v", l)
		}
		to := netip.AddrPortFrom(v4.servers, 4000)
		s.startOther(to)
		if l := listed(); len(l) != 1 || l[0].To != to || l[0].Source != crashed(to).Source {
			s.Errorf("listed %v, want %v", l, crashed(to))
		}
	})
}
