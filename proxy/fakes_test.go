package proxy

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

// fakeFirewall records what is asked of it, in order. The hooks are called
// before a call is carried out and can refuse it; nil ones never do.
type fakeFirewall struct {
	onOpen, onRenew, onClose func(nft.Pinhole) error

	mu     sync.Mutex // guards what follows, and the setting of hooks
	calls  []string
	holes  map[leaseKey]nft.Pinhole
	strays []nft.Stray
	cut    []conntrack.Tuple
}

func (f *fakeFirewall) Open(p nft.Pinhole) error {
	return f.call("open", p, &f.onOpen, func() { f.holes[keyOf(p.From, p.At, p.Peers)] = p })
}

// Renew opens again what has been consumed in the same instant, as the kernel does.
func (f *fakeFirewall) Renew(p nft.Pinhole) error {
	return f.call("renew", p, &f.onRenew, func() { f.holes[keyOf(p.From, p.At, p.Peers)] = p })
}

func (f *fakeFirewall) Used(p nft.Pinhole) {
	_ = f.call("used", p, new(func(nft.Pinhole) error), func() { delete(f.holes, keyOf(p.From, p.At, p.Peers)) })
}

// Close records only what costs a write: closing a used pinhole does not.
func (f *fakeFirewall) Close(p nft.Pinhole) error {
	f.mu.Lock()
	_, open := f.holes[keyOf(p.From, p.At, p.Peers)]
	f.mu.Unlock()
	if !open {
		return nil
	}
	return f.call("close", p, &f.onClose, func() { delete(f.holes, keyOf(p.From, p.At, p.Peers)) })
}

// call notes a call when it is done, so that the record has the order in which
// things became true.
func (f *fakeFirewall) call(what string, p nft.Pinhole, hook *func(nft.Pinhole) error, do func()) error {
	f.mu.Lock()
	before := *hook
	f.mu.Unlock()
	var err error
	if before != nil {
		err = before(p)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		what += " refused"
	} else {
		do()
	}
	f.calls = append(f.calls, fmt.Sprintf("%s %v", what, p))
	return err
}

// hook sets a hook while sessions run.
func (f *fakeFirewall) hook(which *func(nft.Pinhole) error, to func(nft.Pinhole) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	*which = to
}

// Strays returns what a test has put there.
func (f *fakeFirewall) Strays(at netip.AddrPort) ([]nft.Stray, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.strays), func(s nft.Stray) bool { return s.At != at }), nil
}

func (f *fakeFirewall) Cut(orig conntrack.Tuple, _ uint32) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cut = append(f.cut, orig)
	return nil
}

// dialledInVain is a SYN that no pinhole let in.
func (f *fakeFirewall) dialledInVain(s nft.Stray) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.strays = append(f.strays, s)
}

// taken returns what was called since the last time, and forgets it.
func (f *fakeFirewall) taken() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	calls := f.calls
	f.calls = nil
	return calls
}

// open returns how many pinholes are open.
func (f *fakeFirewall) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.holes)
}

// expire is what the kernel does to a pinhole whose time is over.
func (f *fakeFirewall) expire(p nft.Pinhole) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.holes, keyOf(p.From, p.At, p.Peers))
}

// fakeFlows is conntrack: what it answers, and what it was asked.
type fakeFlows struct {
	mu     sync.Mutex
	busy   bool
	err    error
	asked  []conntrack.Tuple
	marked uint32
	flows  []conntrack.Flow
	got    int // how often one was asked for
}

func (f *fakeFlows) Clear(reply conntrack.Tuple, mark uint32) (was conntrack.Flow, busy bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked, f.marked = append(f.asked, reply), mark
	if i := slices.IndexFunc(f.flows, func(c conntrack.Flow) bool { return c.Reply == reply }); i >= 0 {
		was = f.flows[i]
	}
	return was, f.busy, f.err
}

func (f *fakeFlows) Dump(_, _ uint32) ([]conntrack.Flow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.flows, f.err
}

func (f *fakeFlows) Get(orig conntrack.Tuple) (conntrack.Flow, error) {
	return f.one(func(c conntrack.Flow) bool { return c.Orig == orig })
}

func (f *fakeFlows) GetReply(reply conntrack.Tuple) (conntrack.Flow, error) {
	return f.one(func(c conntrack.Flow) bool { return c.Reply == reply })
}

func (f *fakeFlows) one(is func(conntrack.Flow) bool) (conntrack.Flow, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.got++
	if i := slices.IndexFunc(f.flows, is); i >= 0 {
		return f.flows[i], f.err
	}
	return conntrack.Flow{}, conntrack.ErrNotFound
}

// gets returns how often flows were asked for.
func (f *fakeFlows) gets() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.got
}

func (f *fakeFirewall) wasCut(orig conntrack.Tuple) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Contains(f.cut, orig)
}

func (f *fakeFlows) answer(busy bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.busy, f.err = busy, err
}

// carry lets these flows be there.
func (f *fakeFlows) carry(flows ...conntrack.Flow) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flows = flows
}

// logbook keeps the log, which must be JSON lines, and hands out the ends of
// sessions as they are logged.
type logbook struct {
	t     testing.TB
	ended chan map[string]any

	mu   sync.Mutex
	text strings.Builder
}

func newLogbook(t testing.TB) *logbook {
	return &logbook{t: t, ended: make(chan map[string]any, 10000)}
}

func (l *logbook) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(line)
	record := map[string]any{}
	if err := json.Unmarshal(line, &record); err != nil {
		l.t.Errorf("log line %q: %v", line, err)
	}
	if record["msg"] == "session ended" {
		l.ended <- record
	}
	return len(line), nil
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
