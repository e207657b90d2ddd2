package nft_test

import (
	"fmt"
	"ftpgate/nft"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// reloads are what firewalls do when they reload; all end with the admin's
// chains in place.
var reloads = map[string][]string{
	"rule deleted":   {"flush chain inet admin forward; add rule inet admin forward counter"},
	"in one batch":   {"delete table inet admin; " + adminTable},
	"in two batches": {"delete table inet admin", adminTable},
	"from a dump": {"delete table inet admin; " + adminTable +
		`insert rule inet admin forward ct mark & 0x80 == 0x80 counter accept comment "ftpgate ftpgate"`},
	"ruleset flushed": {"flush ruleset", adminTable},
}

const adminTable = `add table inet admin;
	add chain inet admin forward { type filter hook forward priority 0; policy drop; };
	add rule inet admin forward meta l4proto icmpv6 accept;
	add rule inet admin forward counter;
`

func TestAcceptRuleIsPutBack(t *testing.T) {
	eachKernel(t, func(s *scene) {
		for name, batches := range reloads {
			s.Run(name, func(t *testing.T) {
				s := &scene{s.Lab, t, s.without}
				var log logged
				table := s.open(nft.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
				s.nft(adminTable)
				s.setAccept(table, "inet admin forward")
				s.watch(table)
				for round := range 2 {
					for _, batch := range batches {
						s.nft(batch)
					}
					began := time.Now()
					s.until("the rule is back", func() bool {
						rules, err := s.tryNFT("list chain inet admin forward")
						return err == nil && strings.Contains(rules, acceptRule)
					})
					t.Logf("round %d: put back after %v; a second is promised", round, time.Since(began))
					s.until("all agree", func() bool { return s.accepted(table) })
					s.wantAcceptRule("inet admin forward")
				}
				ln := s.listen(s.Server, v4.servers)
				p := v4.passive(61000, ln)
				s.mustOpen(table, p)
				s.pass(s.Client, p.At, ln)
				s.forget(v4)
				if text := log.String(); !strings.Contains(text, "chain=\"inet admin forward\" who=\"nft (pid ") {
					t.Errorf("the log does not say who did it:\n%s", text)
				}
				if err := table.Release(); err != nil {
					t.Fatal(err)
				}
				s.nft("delete table inet admin")
			})
		}
	})
}

// An empty chain, then one that comes later, then one that goes.
func TestAcceptInAChainThatComesLater(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.setAccept(table, "inet admin forward", "ip filter FORWARD")
		s.wantAccepted(table, nft.AcceptNoChain, nft.AcceptNoChain)
		s.watch(table)
		s.nft(adminTable)
		s.until("the rule is in the new chain", func() bool { return table.Accepted()[0].Status == nft.AcceptPresent })
		s.wantAcceptRule("inet admin forward")
		if n := table.AcceptReinserts(); n != 0 {
			s.Errorf("%d rules put back, of none that went", n)
		}
		s.nft("delete table inet admin")
		s.until("the chain is missed", func() bool { return table.Accepted()[0].Status == nft.AcceptNoChain })
	})
}

func TestAcceptPutBackIsCounted(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.nft(adminTable)
		s.setAccept(table, "inet admin forward")
		s.watch(table)
		for want := range uint64(3) {
			if n := table.AcceptReinserts(); n != want {
				s.Fatalf("counted %d, want %d", n, want)
			}
			s.nft("flush chain inet admin forward")
			s.until("another one is counted", func() bool { return table.AcceptReinserts() > want })
		}
		if n := table.Reinstalls(); n != 0 {
			s.Errorf("%d reinstallations of a table that never went", n)
		}
	})
}

// A table that somebody owns takes no rule of ours. It is said once, and the rule
// goes in when the owner has gone.
func TestAcceptRefusedByAnOwner(t *testing.T) {
	eachKernel(t, func(s *scene) {
		owner := s.start("NFT_TEST_FOREIGN=theirs")
		var log logged
		table := s.open(nft.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		err := s.Gateway.Do(func() error { return table.SetAccept(refs(s, "inet theirs forward")) })
		if err != nil {
			s.Fatal(err)
		}
		s.wantAccepted(table, nft.AcceptRefused)
		if why, who := table.Accepted()[0].Reason, fmt.Sprintf("(pid %d)", owner.Process.Pid); !strings.Contains(why, who) {
			s.Errorf("refused because %q, want the owner %s", why, who)
		}
		s.watch(table)
		owner.Process.Kill()
		owner.Wait() // its table goes with it, of which the kernel tells nobody
		s.nft(strings.ReplaceAll(adminTable, "admin", "theirs"))
		s.until("the rule goes in", func() bool { return s.accepted(table) })
		s.wantAcceptRule("inet theirs forward")
		if n := strings.Count(log.String(), "alone can change it"); n != 1 {
			s.Errorf("said %d times:\n%s", n, log.String())
		}
	})
}

// watch runs Watch until the test ends.
func (s *scene) watch(table *nft.Table) {
	s.Helper()
	watched := make(chan error)
	go func() { watched <- table.Watch(s.Context()) }()
	s.Cleanup(func() {
		if err := <-watched; err != nil {
			s.Error(err)
		}
	})
}

// While nobody listens to changes of nftables, the kernel does not tell of any:
// writing pinholes would be dearer otherwise.
func TestNobodyListensWithoutNeed(t *testing.T) {
	eachKernel(t, func(s *scene) {
		table := s.open(nft.Config{})
		s.nft(adminTable)
		idle := 0
		if s.without.Owner {
			idle = 1
		}
		for _, step := range []struct {
			chains []string
			want   int
		}{{nil, idle}, {[]string{"inet admin forward"}, 1}, {[]string{"inet admin input"}, 1}, {nil, idle}} {
			s.setAccept(table, step.chains...)
			if n := s.listeners(); n != step.want {
				s.Errorf("accept in %v: %d sockets listen to nftables, want %d", step.chains, n, step.want)
			}
		}
	})
}

// listeners counts the gateway's sockets that are told of changes of nftables.
func (s *scene) listeners() (n int) {
	s.Helper()
	var sockets []byte
	err := s.Gateway.Do(func() (err error) {
		sockets, err = os.ReadFile("/proc/thread-self/net/netlink")
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	for _, line := range strings.Split(string(sockets), "\n")[1:] {
		f := strings.Fields(line) // sk, protocol, port, groups, ...
		if len(f) < 4 || f[1] != strconv.Itoa(unix.NETLINK_NETFILTER) {
			continue
		}
		groups, err := strconv.ParseUint(f[3], 16, 32)
		if err != nil {
			s.Fatal(err)
		}
		if groups>>(unix.NFNLGRP_NFTABLES-1)&1 != 0 {
			n++
		}
	}
	return n
}
