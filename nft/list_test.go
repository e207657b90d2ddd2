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

// Without Watch, whoever opens a pinhole finds out that the table is gone.
func TestOpenReinstalls(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.without.Owner = true
		table := s.open(nft.Config{})
		ln := s.listen(s.Server, v4.servers)
		before, p := v4.passive(61000, ln), v4.passive(61001, ln)
		for round, write := range []func() error{
			func() error { return table.Open(p) },
			func() error { return table.Renew(p) },
			func() error { return table.Close(v4.passive(61001, ln)) },
			func() error { return table.SetListen([]netip.AddrPort{netip.AddrPortFrom(v4.wan, 21)}) },
		} {
			s.mustOpen(table, before)
			s.nft("flush ruleset")
			if err := write(); err != nil {
				s.Errorf("write %d: %v", round, err)
			}
			if n := table.Reinstalls(); n != uint64(round+1) {
				s.Errorf("write %d: %d reinstallations", round, n)
			}
			s.pass(s.Client, before.At, ln)
			s.forget(v4)
		}
	})
}
