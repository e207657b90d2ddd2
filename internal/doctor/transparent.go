package doctor

import (
	"context"
	"fmt"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ftpgate/proxy"
)

// transparent are the settings of sources that keep the client's own address.
type transparent struct {
	mark  uint32   // of packets for our sockets
	table int      // that takes them in
	links []string // where servers answer
	runs  bool     // there is a daemon that has set it up
}

// Our rules as package nft makes them: one that leads packets with the mark to
// the table, and before it one for IPv4 that answers the kernel's question whether
// their source is valid, which src_valid_mark asks with the mark.
const (
	homePriority  = 1421
	checkPriority = 1420
	ownProtocol   = 121
)

// returnRoute looks at what brings answers to a client's address home.
func returnRoute(_ context.Context, h *host) ([]Finding, error) {
	t := transparent{mark: h.file.NFT.RouteMark, table: h.file.NFT.RouteTable}
	needed := false
	h.each(func(svc *proxy.Service) {
		if !svc.FromClient {
			return
		}
		needed = true
		for _, b := range svc.Backends {
			if link, err := routeTo(b.Addr(), svc.SourceAddress); err == nil && link != "" && !slices.Contains(t.links, link) {
				t.links = append(t.links, link)
			}
		}
	})
	if !needed {
		return nil, nil
	}
	d := h.daemon()
	t.runs = d.runs && d.ours
	return h.examineRoute(t)
}

func (h *host) examineRoute(t transparent) ([]Finding, error) {
	list, err := netlink.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list routing rules: %w", err)
	}
	var found []Finding
	var own []netlink.Rule
	for _, r := range list {
		switch {
		case t.owns(r):
			own = append(own, r)
		case t.clashes(r):
			found = append(found, taken(r))
		}
	}
	if !t.runs {
		return found, nil
	}
	marked, err := h.sourcesByMark(t.links)
	if err != nil {
		return found, err
	}
	for _, want := range []struct {
		family, priority int
		needed           bool
		ip, rule         string
	}{
		{netlink.FAMILY_V4, homePriority, true, "ip", fmt.Sprintf("lookup %d", t.table)},
		{netlink.FAMILY_V6, homePriority, h.hasIPv6(), "ip -6", fmt.Sprintf("lookup %d", t.table)},
		{netlink.FAMILY_V4, checkPriority, marked, "ip", "iif lo lookup main"},
	} {
		there := slices.ContainsFunc(own, func(r netlink.Rule) bool { return r.Family == want.family && r.Priority == want.priority })
		if there || !want.needed {
			continue
		}
		found = append(found, Finding{
			Severity: Error, About: fmt.Sprintf("%s rule %d missing", want.ip, want.priority),
			Seen: fmt.Sprintf("%s rule %d, for packets with mark 0x%x, is gone", want.ip, want.priority, t.mark),
			Why:  "what servers answer to a client's address does not come to ftpgate (source = \"client\")",
			Mend: []string{fmt.Sprintf("%s rule add pref %d fwmark 0x%x/0x%[3]x protocol %d %s", want.ip, want.priority, t.mark, ownProtocol, want.rule)},
			Keep: "see who takes it away: for systemd-networkd write ManageForeignRoutingPolicyRules=no into networkd.conf",
		})
	}
	return found, nil
}

func (t transparent) owns(r netlink.Rule) bool {
	return r.Protocol == ownProtocol && (r.Priority == homePriority && r.Table == t.table || r.Priority == checkPriority && r.Table == unix.RT_TABLE_MAIN) &&
		r.Mark == t.mark && r.Mask != nil && *r.Mask == t.mark
}

// clashes reports whether a rule of others takes our packets, or leads its own to
// our table, or stands where ours does.
func (t transparent) clashes(r netlink.Rule) bool {
	mask := ^uint32(0)
	if r.Mask != nil {
		mask = *r.Mask
	}
	return r.Priority == homePriority || r.Priority == checkPriority || r.Table == t.table || r.Mark&mask&t.mark != 0
}

func taken(r netlink.Rule) Finding {
	ip := "ip"
	if r.Family == netlink.FAMILY_V6 {
		ip = "ip -6"
	}
	f := Finding{
		Severity: Error, About: fmt.Sprintf("%s rule %d", ip, r.Priority), Seen: fmt.Sprintf("%s rule %d leads to table %d", ip, r.Priority, r.Table),
		Why:  "packets for our sockets go by it too, or its packets by ours (source = \"client\")",
		Mend: []string{fmt.Sprintf("%s rule del pref %d table %d", ip, r.Priority, r.Table)},
		Edit: "or write others in nft.route_mark and nft.route_table",
	}
	if r.Mark != 0 {
		f.Seen = fmt.Sprintf("%s rule %d, for packets with mark 0x%x, leads to table %d", ip, r.Priority, r.Mark, r.Table)
	}
	return f
}

// sourcesByMark reports whether the kernel checks the source of packets with
// their mark, on one of the interfaces. The greater of two parameters counts.
func (h *host) sourcesByMark(links []string) (bool, error) {
	for _, of := range append([]string{"all"}, links...) {
		n, err := h.number("net/ipv4/conf/" + of + "/src_valid_mark")
		if err != nil || n != 0 {
			return n != 0, err
		}
	}
	return false, nil
}

func (h *host) hasIPv6() bool {
	off, err := h.sysctl("net/ipv6/conf/lo/disable_ipv6")
	return err == nil && off == "0"
}
