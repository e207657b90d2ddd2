package nft

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
)

// Ruleset is the table as nft list table prints it when it is installed and no
// pinhole is open. It is for people to read: nft before 1.1 cannot load it.
// An Intercept that is none is left out.
func Ruleset(cfg Config, intercepts ...Intercept) string {
	cfg = cfg.defaults()
	r := newRuleset(cfg.Name, cfg.Mark, cfg.Timeout, 0)
	var b strings.Builder
	fmt.Fprintf(&b, "table inet %s {\n", cfg.Name)
	if cfg.Owner && !cfg.Without.Owner {
		b.WriteString("\tflags owner,persist\n\n")
	}
	intercepts = normalIntercepts(intercepts)
	elements := newListeners(slices.Concat(cfg.Listen, targets(intercepts))).text()
	for _, s := range r.sets() {
		b.WriteString(setText(s, elements[s.Name]))
	}
	mark := fmt.Sprintf("0x%08x", cfg.Mark)
	ours := fmt.Sprintf("ct mark & %s == %s jump leave", mark, mark)
	setMark := "ct mark set ct mark | " + mark
	sets, intercept := interceptText(r, intercepts, setMark)
	b.WriteString(sets)
	b.WriteString(chainText("enter", enterText(setMark)...))
	b.WriteString(chainText("leave", leaveText()...))
	b.WriteString(chainText(takeChain, takeText(setMark)...))
	b.WriteString(chainText(passChain))
	b.WriteString(chainText(wideChain))
	b.WriteString(chainText(wideUsedChain))
	b.WriteString(intercept)
	b.WriteString(chainText("pre", slices.Concat([]string{"type nat hook prerouting priority dstnat - 1; policy accept;"},
		cutText(), []string{"jump enter"}, strayText(), []string{"jump " + interceptChain})...))
	b.WriteString(chainText("output", "type nat hook output priority -101; policy accept;", "jump enter"))
	b.WriteString(chainText("post", slices.Concat([]string{"type nat hook postrouting priority srcnat - 1; policy accept;", ours},
		keepDialledText(intercepts))...))
	b.WriteString(chainText("input", slices.Concat([]string{"type nat hook input priority 99; policy accept;"},
		toListenersText("accept"), []string{ours})...))
	return strings.TrimSuffix(b.String(), "\n") + "}\n"
}

// text returns the elements of each set that has some.
func (l listeners) text() map[string][]string {
	elements := map[string][]string{}
	for _, ap := range l.addrs {
		set := "listen" + families[half(ap.Addr())].suffix
		elements[set] = append(elements[set], fmt.Sprintf("%v . %d", ap.Addr(), ap.Port()))
	}
	for _, p := range l.ports {
		elements["listenport"] = append(elements["listenport"], fmt.Sprint(p))
	}
	return elements
}

func setText(s *nftables.Set, elements []string) string {
	var b strings.Builder
	if s.IsMap {
		fmt.Fprintf(&b, "\tmap %s {\n\t\ttype %s : %s\n", s.Name, s.KeyType.Name, s.DataType.Name)
	} else {
		fmt.Fprintf(&b, "\tset %s {\n\t\ttype %s\n", s.Name, s.KeyType.Name)
	}
	if s.Size != 0 {
		fmt.Fprintf(&b, "\t\tsize %d\n", s.Size)
	}
	switch {
	case s.Dynamic && s.HasTimeout:
		b.WriteString("\t\tflags dynamic,timeout\n")
	case s.Dynamic:
		b.WriteString("\t\tflags dynamic\n")
	case s.Interval:
		b.WriteString("\t\tflags interval\n")
	}
	if s.HasTimeout {
		fmt.Fprintf(&b, "\t\ttimeout %s\n", durationText(s.Timeout))
	}
	if len(elements) > 0 {
		fmt.Fprintf(&b, "\t\telements = { %s }\n", strings.Join(elements, ",\n\t\t\t     "))
	}
	return b.String() + "\t}\n\n"
}

// durationText writes 1h2m3s4ms, leaving out what is zero.
func durationText(d time.Duration) string {
	var b strings.Builder
	for _, unit := range []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}, {time.Second, "s"}, {time.Millisecond, "ms"}} {
		if n := d / unit.length; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, unit.name)
			d -= n * unit.length
		}
	}
	return b.String()
}

func chainText(name string, lines ...string) string {
	text := fmt.Sprintf("\tchain %s {\n", name)
	for _, l := range lines {
		text += "\t\t" + l + "\n"
	}
	return text + "\t}\n\n"
}

func enterText(setMark string) []string {
	return append(toListenersText(setMark),
		"meta nfproto ipv4 tcp flags syn / fin,syn,rst,ack "+setMark+" dnat ip to ip saddr . ip daddr . tcp dport map @dnat4",
		"meta nfproto ipv6 tcp flags syn / fin,syn,rst,ack "+setMark+" dnat ip6 to ip6 saddr . ip6 daddr . tcp dport map @dnat6",
		"tcp flags syn / fin,syn,rst,ack jump wide",
		"tcp flags syn / fin,syn,rst,ack jump pass",
		"tcp dport @relayport fib daddr type local drop")
}

func toListenersText(do string) []string {
	return []string{
		"ip daddr . tcp dport @listen4 " + do,
		"ip6 daddr . tcp dport @listen6 " + do,
		"tcp dport @listenport fib daddr type local " + do,
	}
}

func takeText(setMark string) []string {
	return []string{
		fmt.Sprintf("meta nfproto ipv4 meta l4proto tcp %s dnat ip to ip daddr:tcp dport map @passto4 comment %q", setMark, passCommentText("4")),
		fmt.Sprintf("meta nfproto ipv6 meta l4proto tcp %s dnat ip6 to ip6 daddr:tcp dport map @passto6 comment %q", setMark, passCommentText("6")),
	}
}

func leaveText() []string {
	lines := []string{"jump wideused"}
	for _, f := range []struct{ nfproto, ip, suffix string }{{"ipv4", "ip", "4"}, {"ipv6", "ip6", "6"}} {
		dialled := fmt.Sprintf("ct original %s saddr . ct original %s daddr . ct original proto-dst", f.ip, f.ip)
		snat := fmt.Sprintf("snat %s to", f.ip)
		lines = append(lines,
			fmt.Sprintf("delete @dnat%s { %s : %s daddr . th dport }", f.suffix, dialled, f.ip),
			fmt.Sprintf("meta nfproto %s %s %s map @active%s", f.nfproto, snat, dialled, f.suffix),
			fmt.Sprintf("meta nfproto %s %s %s map @via%s", f.nfproto, snat, dialled, f.suffix),
			fmt.Sprintf("%s ct original %s saddr . ct original %s daddr . %s daddr map @passvia%s", snat, f.ip, f.ip, f.ip, f.suffix),
			fmt.Sprintf("ct status dnat %s %s daddr map @out%s", snat, f.ip, f.suffix))
	}
	return lines
}
