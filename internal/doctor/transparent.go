package doctor

import (
	"fmt"

	"github.com/vishvananda/netlink"
)

// transparent are the settings of sources that keep the client's own address.
type transparent struct {
	mark  uint32   // of packets for our sockets
	table int      // that takes them in
	links []string // where backends answer
}

// reversePath looks at what keeps answers to a client's address from our
// sockets. A packet with the mark is looked up in a table that leads to this host
// alone; with src_valid_mark the kernel checks its source there too, and takes
// the server for one of our own addresses.
func (h *host) reversePath(t transparent) ([]Finding, error) {
	var found []Finding
	for _, link := range t.links {
		marked, err := h.both(link, "src_valid_mark")
		if err != nil {
			return found, err
		}
		for _, p := range marked {
			if p.value == 0 {
				continue
			}
			f := Finding{
				Severity: Error, About: p.name, Seen: fmt.Sprintf("the source of packets on %s is checked with their mark: %s = %d", link, dotted(p.name), p.value),
				Why: "the kernel drops what servers answer to a client's address (source = \"client\")",
			}
			f.Mend, f.Keep = setSysctl(p.name, "0")
			found = append(found, f)
		}
		strict, err := h.both(link, "rp_filter")
		if err != nil {
			return found, err
		}
		// The greater of the two counts.
		if p := strict[1]; max(strict[0].value, p.value) == 1 {
			f := Finding{
				Severity: Warning, About: p.name, Seen: fmt.Sprintf("the source of packets on %s is checked strictly (rp_filter = 1, of it or of all)", link),
				Why: "what a server sends to a client's address is dropped where the route back to that server leads elsewhere",
			}
			f.Mend, f.Keep = setSysctl(p.name, "2")
			found = append(found, f)
		}
	}
	return found, nil
}

// parameter is a number of the kernel's.
type parameter struct {
	name  string
	value int
}

// both returns the parameter of all interfaces and that of one.
func (h *host) both(link, what string) ([]parameter, error) {
	var found []parameter
	for _, of := range []string{"all", link} {
		name := "net/ipv4/conf/" + of + "/" + what
		value, err := h.number(name)
		if err != nil {
			return nil, err
		}
		found = append(found, parameter{name, value})
	}
	return found, nil
}

// routeTaken looks for others who route by our mark, or use our table.
func routeTaken(t transparent) ([]Finding, error) {
	list, err := netlink.RuleList(netlink.FAMILY_ALL)
	if err != nil {
		return nil, fmt.Errorf("list routing rules: %w", err)
	}
	var found []Finding
	for _, r := range list {
		mask := ^uint32(0)
		if r.Mask != nil {
			mask = *r.Mask
		}
		byMark := r.Mark != 0 && r.Mark&mask&t.mark != 0
		switch {
		case r.Table == t.table && byMark && mask == t.mark:
			continue // our own
		case r.Table != t.table && !byMark:
			continue
		}
		ip := "ip"
		if r.Family == netlink.FAMILY_V6 {
			ip = "ip -6"
		}
		f := Finding{
			Severity: Error, About: fmt.Sprintf("%s rule %d", ip, r.Priority),
			Seen: fmt.Sprintf("%s rule %d leads to table %d", ip, r.Priority, r.Table),
			Why:  "packets for our sockets go by it too, or its packets by ours",
			Mend: []string{fmt.Sprintf("%s rule del pref %d", ip, r.Priority)},
			Edit: "or write others in nft.route_mark and nft.route_table",
		}
		if byMark {
			f.Seen = fmt.Sprintf("%s rule %d, for packets with mark 0x%x/0x%x, leads to table %d", ip, r.Priority, r.Mark, mask, r.Table)
		}
		found = append(found, f)
	}
	return found, nil
}
