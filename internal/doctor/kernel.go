package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"ftpgate/proxy"
)

// forwarding looks at the switch of each family that the kernel carries data of,
// and for IPv4 at those of the interfaces. For IPv6 the kernel asks the first
// alone.
func forwarding(_ context.Context, h *host) ([]Finding, error) {
	var found []Finding
	var errs []error
	for _, v6 := range []bool{false, true} {
		links, needed := h.carrying(v6)
		if !needed {
			continue
		}
		switches := []string{"net/ipv6/conf/all/forwarding"}
		if !v6 {
			switches = []string{"net/ipv4/ip_forward"}
			for _, l := range links {
				switches = append(switches, "net/ipv4/conf/"+l+"/forwarding")
			}
		}
		for _, s := range switches {
			on, err := h.sysctl(s)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if on == "0" {
				f := Finding{
					Severity: Error, About: s, Seen: fmt.Sprintf("the kernel does not forward %s: %s = 0", familyName(v6), dotted(s)),
					Why: "logins work, but no data connection can pass; the daemon is not ready without it",
				}
				f.Mend, f.Keep = setSysctl(s, "1")
				f.Edit = "it makes a router of this host: see that your firewall forwards only what it should"
				found = append(found, f)
				break // the first one sets those of all interfaces
			}
		}
	}
	return found, errors.Join(errs...)
}

// carrying are the interfaces between which the kernel carries data of a family,
// and whether it carries any.
func (h *host) carrying(v6 bool) (links []string, needed bool) {
	add := func(l string) {
		if l != "" && l != "lo" && !slices.Contains(links, l) {
			links = append(links, l)
		}
	}
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			needed = needed || svc.Mode == proxy.Forward && !svc.OnlyRelays() && l.Addr().Is6() == v6
			for _, b := range svc.Backends {
				if l.Addr().Is6() != v6 || !carried(svc, l, b) {
					continue
				}
				needed = true
				inside, _ := routeTo(b.Addr(), svc.SourceAddress)
				add(h.link(l.Addr()))
				add(inside)
			}
		}
	})
	return links, needed
}

// conntrackFull warns before the kernel drops new connections.
func conntrackFull(_ context.Context, h *host) ([]Finding, error) {
	const parameter, nearly = "net/netfilter/nf_conntrack_max", 90
	count, err := h.number("net/netfilter/nf_conntrack_count")
	if err != nil {
		return nil, notLoaded(err)
	}
	limit, err := h.number(parameter)
	if err != nil || limit == 0 || count*100 < limit*nearly {
		return nil, err
	}
	f := Finding{
		Severity: Warning, About: parameter, Seen: fmt.Sprintf("conntrack knows %d connections of %d at most", count, limit),
		Why: "when it is full the kernel drops new connections, those of FTP among them",
	}
	if count >= limit {
		f.Severity = Error
	}
	f.Mend, f.Keep = setSysctl(parameter, strconv.Itoa(2*limit))
	return []Finding{f}, nil
}

// notLoaded makes nothing of a parameter that is not there: conntrack comes with
// the first rule that needs it.
func notLoaded(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// conntrackTimeout compares the kernel's patience with ours.
func conntrackTimeout(_ context.Context, h *host) ([]Finding, error) {
	const parameter = "net/netfilter/nf_conntrack_tcp_timeout_established"
	seconds, err := h.number(parameter)
	if err != nil {
		return nil, notLoaded(err)
	}
	var longest time.Duration
	h.each(func(svc *proxy.Service) { longest = max(longest, svc.Timeouts.Idle) })
	if time.Duration(seconds)*time.Second >= longest {
		return nil, nil
	}
	f := Finding{
		Severity: Warning, About: parameter,
		Seen: fmt.Sprintf("conntrack forgets a connection that is silent for %v; timeouts.idle is %v", time.Duration(seconds)*time.Second, longest),
		Why:  "what it has forgotten it no longer translates, and a firewall takes the rest of the session for something new",
		Edit: "or shorten timeouts.idle",
	}
	f.Mend, f.Keep = setSysctl(parameter, strconv.Itoa(int(longest.Seconds()+1)))
	return []Finding{f}, nil
}

func conntrackAccounting(_ context.Context, h *host) ([]Finding, error) {
	const parameter = "net/netfilter/nf_conntrack_acct"
	on, err := h.sysctl(parameter)
	if err != nil || on != "0" {
		return nil, notLoaded(err)
	}
	f := Finding{
		Severity: Notice, About: parameter, Seen: "conntrack does not count bytes: " + dotted(parameter) + " = 0",
		Why: "the sizes of transfers are not known; ftpgate run turns it on, if it may",
	}
	f.Mend, f.Keep = setSysctl(parameter, "1")
	return []Finding{f}, nil
}
