// Package failures keeps the last transfers that failed, with all that explains
// them, for who asks later.
//
// What is kept is shared: when the log is full the client with the most entries
// at one service loses its oldest. A scanner that fails all the time pushes out
// itself, and not the one failure of somebody who phones.
package failures

import (
	"net/netip"
	"slices"
	"strings"
	"sync"

	"ftpgate/proxy/api"
)

// Max is how many failures are kept.
const Max = 1000

// Log is a bounded log of failures. The zero Log is empty and ready.
type Log struct {
	mu     sync.Mutex // guards what follows
	kept   []entry    // the oldest first
	shares map[share]int
}

type entry struct {
	api.Explanation
	share share
}

// share is who shares: a client, in IPv6 by /64 (what one host picks its
// addresses from), at a service.
type share struct {
	service string
	client  netip.Prefix
}

func shareOf(service string, client netip.Addr) share {
	bits := 32
	if client.Is6() {
		bits = 64
	}
	prefix, _ := client.Prefix(bits) // cannot fail: bits fit the family
	return share{service, prefix}
}

// Add keeps a failure of a client.
func (l *Log) Add(client netip.Addr, e api.Explanation) {
	s := shareOf(e.Service, client)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shares == nil {
		l.shares = map[share]int{}
	}
	if len(l.kept) == Max {
		l.evict(s)
	}
	l.kept = append(l.kept, entry{e, s})
	l.shares[s]++
}

// evict makes room: who has the most gives its oldest. The newcomer counts with
// what it is about to have.
func (l *Log) evict(newcomer share) {
	l.shares[newcomer]++
	defer func() {
		if l.shares[newcomer]--; l.shares[newcomer] == 0 {
			delete(l.shares, newcomer)
		}
	}()
	most := 0
	for _, n := range l.shares {
		most = max(most, n)
	}
	i := slices.IndexFunc(l.kept, func(e entry) bool { return l.shares[e.share] == most })
	i = max(i, 0) // the newcomer alone has the most, and nothing yet: the oldest of all
	s := l.kept[i].share
	l.kept = slices.Delete(l.kept, i, i+1)
	if l.shares[s]--; l.shares[s] == 0 {
		delete(l.shares, s)
	}
}

// Len returns how many failures are kept.
func (l *Log) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.kept)
}

// List returns the failures that a function wants, the latest first.
func (l *Log) List(want func(api.Failure) bool) []api.Failure {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := []api.Failure{}
	for _, e := range slices.Backward(l.kept) {
		if want(e.Failure) {
			all = append(all, e.Failure)
		}
	}
	return all
}

// Find returns the failure with an id, or the latest of the session that an id
// without a number names.
func (l *Log) Find(id string) (api.Explanation, bool) {
	return l.latest(func(e entry) bool {
		return e.ID == id || !strings.Contains(id, ".") && strings.HasPrefix(e.ID, id+".")
	})
}

// OfClient returns the latest failure of a client.
func (l *Log) OfClient(client netip.Addr) (api.Explanation, bool) {
	return l.latest(func(e entry) bool {
		at, err := netip.ParseAddrPort(e.Client)
		return err == nil && at.Addr() == client
	})
}

func (l *Log) latest(want func(entry) bool) (api.Explanation, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range slices.Backward(l.kept) {
		if want(e) {
			return e.Explanation, true
		}
	}
	return api.Explanation{}, false
}
