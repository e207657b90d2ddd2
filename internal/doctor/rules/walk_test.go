package rules_test

import (
	"context"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/doctor/rules"
	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
)

// read loads a ruleset at the gateway of a lab, and reads it back.
func read(t *testing.T, l *lab.Lab, ruleset string) *rules.Ruleset {
	t.Helper()
	cmd := labtest.Tree(t).Command(t.Context(), l.Gateway, nil, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader("flush ruleset\n" + ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft -f: %v: %s\n%s", err, out, ruleset)
	}
	var all *rules.Ruleset
	err := l.Gateway.Do(func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		all, err = rules.Read(ctx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// data is the first packet of a passive data connection.
func data() rules.Packet {
	return rules.Packet{To: netip.PrefixFrom(lab.ServerV4, 32), In: "wan", Out: "lan", Mark: 0x400, Translated: true}
}

// fates, in a word: a plus says that a rule which only may match would have it
// otherwise.
func fate(f rules.Fate) string {
	word := "accepted"
	if f.Dropped {
		word = "dropped"
	}
	if len(f.Otherwise) > 0 {
		word += "+"
	}
	return word
}

func TestWalk(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	tests := []struct {
		name, policy, rules string // of the chain; other chains and sets of the table
		more, want          string
	}{
		{"nothing", "accept", "", "", "accepted"},
		{"a policy", "drop", "", "", "dropped"},
		{"our mark", "drop", "ct mark & 0x400 == 0x400 counter accept", "", "accepted"},
		{"another mark", "drop", "ct mark & 0x800 == 0x800 accept", "", "dropped"},
		{"a set of marks", "drop", "ct mark { 0x1, 0x400 } accept", "", "accepted"},
		{"translated", "drop", "ct status dnat accept", "", "accepted"},
		{"a state", "drop", "ct state new accept", "", "accepted"},
		{"other states", "drop", "ct state established,related accept", "", "dropped"},
		{"a map of states", "drop", "ct state vmap { established : accept, new : jump more }", "chain more { accept\n}", "accepted"},
		{"an interface", "drop", `iifname "wan" accept`, "", "accepted"},
		{"interfaces like it", "drop", `iifname "w*" accept`, "", "accepted"},
		{"other interfaces", "drop", `iifname "ppp*" accept`, "", "dropped"},
		{"a pair of them", "drop", `iifname . oifname { "wan" . "lan" } accept`, "", "accepted"},
		{"an interface's index", "drop", `iif "wan" accept`, "", "accepted"},
		{"another index", "drop", `iif "lo" accept`, "", "dropped"},
		{"the server", "drop", "ip daddr 10.0.0.0/24 accept", "", "accepted"},
		{"a part of its network", "drop", "ip daddr 10.0.0.0/29 accept", "", "accepted"},
		{"another network", "drop", "ip daddr 10.0.1.0/24 accept", "", "dropped"},
		{"not that network", "drop", "ip daddr != 10.0.1.0/24 accept", "", "accepted"},
		{"some clients", "drop", "ip saddr 192.0.2.0/24 accept", "", "dropped+"},
		{"a blocklist", "accept", "ip saddr @bad drop", "set bad { type ipv4_addr; flags interval; elements = { 192.0.2.0/24 }\n}", "accepted+"},
		{"an empty blocklist", "accept", "ip saddr @bad drop", "set bad { type ipv4_addr\n}", "accepted"},
		{"some ports", "drop", "tcp dport 50000-51000 accept", "", "dropped+"},
		{"all of TCP", "drop", "meta l4proto tcp accept", "", "accepted"},
		{"UDP", "drop", "meta l4proto udp accept", "", "dropped"},
		{"a SYN", "drop", "tcp flags & (fin|syn|rst|ack) == syn accept", "", "accepted"},
		{"no SYN", "accept", "tcp flags & (fin|syn|rst|ack) != syn drop", "", "accepted"},
		{"server and a port", "drop", "ip daddr . tcp dport { 10.0.0.5 . 1-65535 } accept", "", "dropped+"},
		{"a pair of ranges", "drop", "ip daddr . meta l4proto { 10.0.0.0/24 . tcp } accept", "", "accepted"},
		{"a limit", "drop", "limit rate 5/second accept", "", "dropped+"},
		{"a mark of packets", "drop", "meta mark 0x1 accept", "", "dropped+"},
		{"what is not known here", "drop", "meta random & 1 == 1 accept", "", "dropped+"},
		{"a draw", "drop", "numgen random mod 2 == 0 accept", "", "dropped+"},
		{"a route", "accept", "fib saddr . iif oif missing drop", "", "accepted+"},
		{"a reject", "accept", "reject with icmpx admin-prohibited", "", "dropped"},
		{"a jump that comes back", "drop", "jump more\naccept", "chain more { ip saddr 192.0.2.1 drop\n}", "accepted+"},
		{"a return", "drop", "jump more\naccept", "chain more { return\ndrop\n}", "accepted"},
		{"a goto that comes back", "accept", "goto more\ndrop", "chain more { counter\n}", "accepted"},
		{"a jump that may be", "drop", "ip saddr 192.0.2.1 jump more", "chain more { accept\n}", "dropped+"},
		{"a return that may be", "drop", "jump more\naccept", "chain more { ip saddr 192.0.2.1 return\ndrop\n}", "dropped+"},
		{"IPv6", "drop", "meta nfproto ipv6 accept", "", "dropped"},
		{"a log before it", "drop", `log prefix "ftp " counter ct mark & 0x400 == 0x400 accept`, "", "accepted"},
		{"a map of marks", "drop", "ct mark & 0xff00 vmap { 0x100 : drop, 0x400 : accept }", "", "accepted"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := read(t, l, "table inet t {\n"+test.more+"\nchain c {\ntype filter hook forward priority 0; policy "+test.policy+";\n"+test.rules+"\n}\n}\n")
			chains := all.At(unix.NF_INET_FORWARD, false)
			if len(chains) != 1 {
				t.Fatalf("%d chains", len(chains))
			}
			var got string
			err := l.Gateway.Do(func() error {
				got = fate(all.Walk(chains[0], data()))
				return nil
			})
			if err != nil || got != test.want {
				t.Errorf("%s, want %s: %v", got, test.want, err)
			}
		})
	}
}

// A chain of ip sees IPv4, one of inet both, and those come in order.
func TestAt(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	var text strings.Builder
	for _, c := range []string{"ip|0", "ip6|-5", "inet|10", "inet|-10"} {
		family, priority, _ := strings.Cut(c, "|")
		name := strings.ReplaceAll("p"+priority, "-", "m")
		text.WriteString("table " + family + " " + name + " {\nchain c {\ntype filter hook forward priority " + priority + ";\n}\n}\n")
	}
	all := read(t, l, text.String())
	for v6, want := range map[bool]string{false: "inet pm10 c, ip p0 c, inet p10 c", true: "inet pm10 c, ip6 pm5 c, inet p10 c"} {
		var names []string
		for _, c := range all.At(unix.NF_INET_FORWARD, v6) {
			names = append(names, c.String())
		}
		if got := strings.Join(names, ", "); got != want {
			t.Errorf("IPv6 %v: %s, want %s", v6, got, want)
		}
	}
}

// Whoever may not read is told so.
func TestReadWithoutRights(t *testing.T) {
	labtest.NeedRoot(t)
	errs := make(chan error)
	go func() { // whose thread ends with it
		errs <- withoutRights(func() error {
			_, err := rules.Read(t.Context())
			return err
		})
	}()
	if err := <-errs; err != rules.ErrPermission { //nolint:errorlint // it is not wrapped
		t.Errorf("read without rights: %v", err)
	}
}

// withoutRights runs f on a thread that has no capabilities, which ends with it.
func withoutRights(f func() error) error {
	runtime.LockOSThread()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return err
	}
	return f()
}
