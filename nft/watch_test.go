package nft_test

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

func TestFlushByOthers(t *testing.T) {
	labtest.NeedRoot(t)
	s := &scene{labtest.New(t, lab.Options{SecondClient: true}), t, nft.Features{}}
	table := s.open(nft.Config{})
	ln := s.listen(s.Server, v4.servers)
	p := v4.passive(61000, ln)
	s.mustOpen(table, p)
	s.nft("flush", "ruleset")
	if out, err := s.tryNFT("delete", "table", "inet", "ftpgate"); err == nil {
		t.Errorf("another process deleted an owned table: %s", out)
	}
	s.pass(s.Client, p.At, ln)
	if n := table.Reinstalls(); n != 0 {
		t.Errorf("%d reinstallations of a table that never went", n)
	}
}

// logged collects what is logged.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func TestWatchReinstalls(t *testing.T) {
	labtest.NeedRoot(t)
	removals := map[string]string{
		"ruleset flushed":   "flush ruleset",
		"table deleted":     "delete table inet ftpgate",
		"table replaced":    "delete table inet ftpgate; add table inet ftpgate",
		"rules flushed":     "flush table inet ftpgate",
		"one chain flushed": "flush chain inet ftpgate leave",
		"a rule added":      "add rule inet ftpgate leave counter",
		"made dormant":      "add table inet ftpgate { flags dormant; }",
		"pinholes flushed":  "flush map inet ftpgate dnat4",
		"sources flushed":   "flush map inet ftpgate out4",
		"a set deleted":     "flush chain inet ftpgate enter; delete set inet ftpgate relayport",
		"a pinhole deleted": "delete element inet ftpgate dnat4 { 198.51.100.7 . 198.51.100.1 . 61002 }",
		"a pinhole added":   "add element inet ftpgate dnat4 { 198.51.100.8 . 198.51.100.1 . 61009 : 10.0.0.5 . 22 }",
	}
	for name, command := range removals {
		t.Run(name, func(t *testing.T) {
			s := &scene{labtest.New(t, lab.Options{SecondClient: true}), t, nft.Features{Owner: true}}
			var log logged
			table := s.open(nft.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			ctx, stop := context.WithCancel(t.Context())
			watched := make(chan error)
			go func() { watched <- table.Watch(ctx) }()
			defer func() {
				stop()
				if err := <-watched; err != nil {
					t.Error(err)
				}
			}()
			s.watchReinstalls(table, func() { s.nft(command) })
			if text := log.String(); !strings.Contains(text, "by nft (pid ") {
				t.Errorf("the log does not say who did it:\n%s", text)
			}
		})
	}
}

// Whoever saves the ruleset and loads it again puts a table without pinholes in
// place of ours, which looks the same otherwise.
func TestWatchReinstallsWhatADumpReplaced(t *testing.T) {
	s := &scene{labtest.New(t, lab.Options{SecondClient: true}), t, nft.Features{Owner: true}}
	table := s.open(nft.Config{})
	ctx, stop := context.WithCancel(t.Context())
	watched := make(chan error)
	go func() { watched <- table.Watch(ctx) }()
	defer func() {
		stop()
		if err := <-watched; err != nil {
			t.Error(err)
		}
	}()
	s.watchReinstalls(table, func() {
		if err := s.Gateway.Do(table.ReplaceByDump); err != nil {
			t.Fatal(err)
		}
	})
	if err := table.Intact(); err != nil {
		t.Error(err)
	}
}

func (s *scene) watchReinstalls(table *nft.Table, damage func()) {
	s.Helper()
	ln := s.listen(s.Server, v4.servers)
	out := s.listen(s.Client, v4.client)
	used, told := v4.passive(61000, ln), v4.passive(61001, ln)
	open, active := v4.passive(61002, ln), v4.active(20000, out)
	for _, p := range []nft.Pinhole{used, told, open, active} {
		s.mustOpen(table, p)
	}
	s.pass(s.Client, told.At, ln).reset()
	s.forget(v4)
	table.Used(told)
	tr := s.pass(s.Client, used.At, ln)

	before := s.list(table)
	damage()
	s.until("the table is back", func() bool { return table.Reinstalls() == 1 && len(s.list(table)) == 2 })
	tr.move()
	s.refuse(s.Client, used.At, "used before")
	s.refuse(s.Client, told.At, "used before and forgotten by conntrack")
	for i, l := range s.list(table) {
		if l.Pinhole.At != before[i].At || l.Remaining > before[i].Remaining {
			s.Errorf("restored %v, of what was %v: more than it had", l, before[i])
		}
	}
	s.pass(s.Client, open.At, ln).wantSource(v4.lan, 0)
	s.pass(s.Server, active.At, out).wantSource(v4.wan, 20)
	if n := table.Reinstalls(); n != 1 {
		s.Errorf("%d reinstallations, want 1", n)
	}
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
