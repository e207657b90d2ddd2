package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"ftpgate/internal/procfs"
	"ftpgate/proxy"
)

// portRange compares ports with what the kernel gives to connections of this
// host by itself.
func portRange(_ context.Context, h *host) ([]Finding, error) {
	local, err := h.localPorts()
	if err != nil {
		return nil, err
	}
	reserved, err := h.sysctl("net/ipv4/ip_local_reserved_ports")
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, ports := range h.ranges() {
		first, last := max(ports.First, local.First), min(ports.Last, local.Last)
		if first > last || covers(reserved, first, last) {
			continue
		}
		f := Finding{
			Severity: Warning, About: span(ports),
			Seen: fmt.Sprintf("the kernel gives ports %d-%d to connections of this host by itself (ip_local_port_range), which are of %s", first, last, span(ports)),
			Why:  "a connection of this host and a transfer can be in each other's way",
		}
		value := span(proxy.PortRange{First: first, Last: last})
		if reserved != "" {
			value = reserved + "," + value
		}
		f.Mend, f.Keep = setSysctl("net/ipv4/ip_local_reserved_ports", value)
		found = append(found, f)
		reserved = value // the next command has all of it
	}
	return found, nil
}

// localPorts are those that the kernel gives away by itself.
func (h *host) localPorts() (local proxy.PortRange, err error) {
	text, err := h.sysctl("net/ipv4/ip_local_port_range")
	if err != nil {
		return local, err
	}
	if _, err := fmt.Sscan(text, &local.First, &local.Last); err != nil {
		return local, fmt.Errorf("read ip_local_port_range, %q: %w", text, err)
	}
	return local, nil
}

// ranges are the ports that clients dial for data, each range once.
func (h *host) ranges() []proxy.PortRange {
	var all []proxy.PortRange
	seen := map[proxy.PortRange]bool{}
	h.each(func(svc *proxy.Service) {
		for _, r := range dataPorts(svc) {
			if !seen[r] {
				seen[r] = true
				all = append(all, r)
			}
		}
	})
	return all
}

func span(r proxy.PortRange) string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// covers reports whether a list such as "80,8000-8010" has all ports of a range.
func covers(list string, first, last uint16) bool {
	next := int(first)
	for part := range strings.SplitSeq(list, ",") { // the kernel sorts and joins them
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, err := strconv.Atoi(from)
		b, err2 := strconv.Atoi(to)
		if err == nil && err2 == nil && a <= next && next <= b {
			next = b + 1
		}
	}
	return next > int(last)
}

// portTaken looks for listeners in the way of pinholes. Our own daemon's are not.
func portTaken(_ context.Context, h *host) ([]Finding, error) {
	listeners, err := h.listeners()
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, l := range listeners {
		h.each(func(svc *proxy.Service) {
			for _, r := range dataPorts(svc) {
				if len(found) > 0 && found[len(found)-1].About == l.at.String() || !l.inTheWay(svc, r) {
					continue
				}
				p, known := procfs.Holder(l.inode, h.daemon().PID)
				if known && h.isOurs(p.PID) {
					continue
				}
				found = append(found, takenPort(l.at, p, known, r))
			}
		})
	}
	return found, nil
}

func (l listener) inTheWay(svc *proxy.Service, r proxy.PortRange) bool {
	if l.at.Port() < r.First || l.at.Port() > r.Last {
		return false
	}
	for _, at := range svc.Listen {
		if sameAddress(l.at.Addr(), at.Addr()) {
			return true
		}
	}
	return false
}

// sameAddress reports whether a listener at a takes connections to b. One at ::
// usually takes those of IPv4 too.
func sameAddress(a, b netip.Addr) bool {
	return a == b || a == netip.IPv6Unspecified() || a == netip.IPv4Unspecified() && b.Is4() || b.IsUnspecified() && a.Is4() == b.Is4()
}

func takenPort(at netip.AddrPort, p procfs.Process, known bool, r proxy.PortRange) Finding {
	f := Finding{
		Severity: Warning, About: at.String(), Seen: fmt.Sprintf("%s listens on %v, a port of %s", holder(p, known), at, span(r)),
		Why:  "while a pinhole is open on that port its client cannot reach that program; and the port is one less for transfers",
		Edit: fmt.Sprintf("move that program, or write ports without %d", at.Port()),
	}
	return f
}

// holder is a process in a sentence.
func holder(p procfs.Process, known bool) string {
	if !known {
		return "a process that cannot be seen from here"
	}
	return fmt.Sprintf("%s (pid %d)", p.Program, p.PID)
}

// listenTaken looks for others where the daemon listens, or is to.
func listenTaken(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	var hidden error
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			inode, taken := procfs.Listener(l)
			if !taken {
				continue
			}
			p, known := procfs.Holder(inode, h.daemon().PID)
			switch {
			case known && h.isOurs(p.PID):
				continue
			case !known && h.daemon().runs:
				hidden = errHidden // it may well be the daemon
				continue
			}
			f := Finding{
				Severity: Error, About: l.String(), Seen: fmt.Sprintf("%s listens where service %s is to listen, %v", holder(p, known), svc.Name, l),
				Why:  "ftpgate cannot listen there: clients reach that program instead",
				Edit: "see that it does not start again (systemctl disable --now …), or write another address in listen",
			}
			if known {
				f.Mend = []string{fmt.Sprintf("kill %d", p.PID)}
			}
			found = append(found, f)
		}
	})
	return found, hidden
}
