package nft

import (
	"net/netip"
	"testing"
	"time"
)

// leaseAt is a pinhole at the i-th of many addresses.
func leaseAt(i int) Pinhole {
	a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return Pinhole{At: netip.AddrPortFrom(a, 21), Timeout: time.Minute}
}

func TestLeasesAreWrittenNowAndThen(t *testing.T) {
	l, began := newLeases(), time.Now()
	p := leaseAt(0)
	long := p
	long.Timeout = 30 * time.Minute
	for _, step := range []struct {
		name       string
		at         time.Duration
		p          Pinhole
		due, there bool
	}{
		{"the first", 0, p, true, false},
		{"at once again", 0, p, false, true},
		{"with enough left", 7 * time.Minute, p, false, true},
		{"with too little left", 7*time.Minute + time.Second, p, true, true},
		{"at once again", 7*time.Minute + time.Second, p, false, true},
		{"one that stays longer", 8 * time.Minute, long, true, true},
		{"one that stays less long", 9 * time.Minute, p, false, true},
		{"elsewhere", 9 * time.Minute, leaseAt(1), true, false},
		{"an expired one that is still known", 2 * time.Hour, p, true, true},
	} {
		now := began.Add(step.at)
		if due, there := l.due(step.p, now); due != step.due || there != step.there {
			t.Errorf("%s: due %v, there %v; want %v, %v", step.name, due, there, step.due, step.there)
		}
		l.add(step.p, now)
		if left := l.until[step.p.At].Sub(now); left < step.p.Timeout+watchAfter {
			t.Errorf("%s: SYNs are noted for %v, less than %v after %v", step.name, left, watchAfter, step.p.Timeout)
		}
	}
}

func TestLeasesAreBounded(t *testing.T) {
	l, now := newLeases(), time.Now()
	for i := range 2 * maxLeased {
		l.add(leaseAt(i), now)
	}
	if n := len(l.until); n != maxLeased {
		t.Fatalf("%d leases known, want %d", n, maxLeased)
	}
	if due, _ := l.due(leaseAt(maxLeased), now); due {
		t.Error("one more is written than there is room for")
	}
	now = now.Add(time.Minute + leaseLife + slack + time.Second)
	l.add(leaseAt(maxLeased), now) // there is room again
	l.add(leaseAt(maxLeased+1), now)
	if n := len(l.until); n != 1 {
		t.Errorf("%d leases known after all have expired but the last, want it alone", n)
	}
	for i := range maxLeased { // few at a time: as many as live
		now = now.Add(time.Second)
		l.add(leaseAt(i), now)
	}
	if n, most := len(l.until), 2*int((time.Minute+leaseLife)/time.Second); n > most {
		t.Errorf("%d leases known, of which at most %d live", n, most/2)
	}
}
