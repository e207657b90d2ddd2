package nft

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
)

// interceptText is chain intercept as nft prints it, and its sets.
func interceptText(r *ruleset, intercepts []Intercept, setMark string) (sets, chain string) {
	p := r.newIntercept(intercepts)
	for _, s := range p.sets {
		sets += setText(s.Set, elementsText(s))
	}
	var lines []string
	for i, in := range intercepts {
		name := fmt.Sprintf("@intercept%d_", i+1)
		for family, ip := range []string{"ip", "ip6"} {
			f := &families[family]
			if len(ofFamily(in.From, family)) == 0 {
				continue
			}
			line := []string{"tcp flags syn / fin,syn,rst,ack tcp dport " + name + "ports"}
			if len(in.Interfaces) > 0 {
				line = append(line, "iifname "+name+"interfaces")
			}
			line = append(line, ip+" saddr "+name+"from"+f.suffix)
			if len(ofFamily(in.Except, family)) > 0 {
				except := name + "except" + f.suffix
				line = append(line, ip+" saddr != "+except, ip+" daddr != "+except)
			}
			line = append(line, "fib daddr type != local", setMark)
			if to, _ := in.target(family); to.Addr().IsUnspecified() {
				line = append(line, fmt.Sprintf("redirect to :%d", to.Port()))
			} else {
				line = append(line, fmt.Sprintf("dnat %s to %v", ip, to))
			}
			lines = append(lines, strings.Join(line, " "))
		}
	}
	return sets, chainText(interceptChain, lines...)
}

// keepDialledText is what interception adds to chain post.
func keepDialledText(intercepts []Intercept) (lines []string) {
	for i, in := range intercepts {
		for family, ip := range []string{"ip", "ip6"} {
			if len(ofFamily(in.From, family)) > 0 {
				lines = append(lines, fmt.Sprintf("iif 0 tcp dport @intercept%d_ports snat %s to %s saddr", i+1, ip, ip))
			}
		}
	}
	return lines
}

// elementsText has the elements of a set of ports, interfaces or intervals.
func elementsText(s filledSet) (text []string) {
	for i, e := range s.elements {
		switch {
		case e.IntervalEnd:
		case s.Interval:
			begin, _ := netip.AddrFromSlice(e.Key)
			end := last(netip.PrefixFrom(begin, 0))
			if !e.IntervalOpen {
				end, _ = netip.AddrFromSlice(s.elements[i+1].Key)
				end = end.Prev()
			}
			text = append(text, intervalText(begin, end))
		case s.KeyType.Name == nftables.TypeIFName.Name:
			text = append(text, fmt.Sprintf("%q", strings.TrimRight(string(e.Key), "\x00")))
		default:
			text = append(text, fmt.Sprint(int(e.Key[0])<<8|int(e.Key[1])))
		}
	}
	return text
}

// intervalText is a prefix where the interval is one.
func intervalText(begin, end netip.Addr) string {
	if begin == end {
		return begin.String()
	}
	for bits := range begin.BitLen() {
		if p := netip.PrefixFrom(begin, bits); p == p.Masked() && last(p) == end {
			return p.String()
		}
	}
	return begin.String() + "-" + end.String()
}

// normalIntercepts leaves out what SetIntercept would refuse.
func normalIntercepts(intercepts []Intercept) (all []Intercept) {
	for _, in := range intercepts {
		if in, err := in.normal(); err == nil {
			all = append(all, in)
		}
	}
	return slices.Clip(all)
}
