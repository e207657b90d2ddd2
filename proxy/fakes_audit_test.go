package proxy

import (
	"fmt"
	"sync"

	"ftpgate/proxy/audit"
)

// fakeAuditor keeps the events.
type fakeAuditor struct {
	mu     sync.Mutex
	events []audit.Event
	err    error
}

func (f *fakeAuditor) Write(e audit.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
}

func (f *fakeAuditor) Off() bool { return false }

func (f *fakeAuditor) Failing() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// transfers are the records of transfers, waited for.
func (g *gateway) transfers(n int) []audit.Transfer {
	g.t.Helper()
	var all []audit.Transfer
	g.eventually(fmt.Sprintf("%d records of transfers", n), func() bool {
		g.audit.mu.Lock()
		defer g.audit.mu.Unlock()
		all = nil
		for _, e := range g.audit.events {
			if t, ok := e.(audit.Transfer); ok {
				all = append(all, t)
			}
		}
		return len(all) >= n
	})
	if len(all) != n {
		g.t.Fatalf("%d records of transfers, want %d: %+v", len(all), n, all)
	}
	return all
}

// fail lets the auditor be unable to write from now on.
func (f *fakeAuditor) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}
