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
		marked, err := h.either(link, "src_valid_mark")
		if err != nil {
			return found, err
		}
		if marked.value != 0 {
			f := Finding{
				Severity: Error, About: marked.parameter,
				Seen: fmt.Sprintf("the source of packets on %s is checked with their mark: %s = %d", link, dotted(marked.parameter), marked.value),
				Why:  "the kernel drops what servers answer to a client's address (source = \"client\")",
			}
			f.Mend, f.Keep = setSysctl(marked.parameter, "0")
			found = append(found, f)
		}
		strict, err := h.either(link, "rp_filter")
		if err != nil {
			return found, err
		}
		if strict.value == 1 {
			f := Finding{
				Severity: Warning, About: strict.parameter,
				Seen: fmt.Sprintf("the source of packets on %s is checked strictly: %s = 1", link, dotted(strict.parameter)),
				Why:  "what a server sends to a client's address is dropped where the route back to that server leads elsewhere",
			}
			f.Mend, f.Keep = setSysctl(strict.parameter, "2")
			found = append(found, f)
		}
	}
	return found, nil
}

// parameter is one that stands for all interfaces and for each.
type parameter struct {
	parameter string
	value     int
}

// either returns the greater of the two, which is what the kernel goes by.
func (h *host) either(link, what string) (parameter, error) {
	var greatest parameter
	for _, of := range []string{"all", link} {
		p := parameter{parameter: "net/ipv4/conf/" + of + "/" + what}
		var err error
		if p.value, err = h.number(p.parameter); err != nil {
			return greatest, err
		}
		if greatest.parameter == "" || p.value > greatest.value {
			greatest = p
		}
	}
	return greatest, nil
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
