package doctor

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"ftpgate/internal/doctor/rules"
	"ftpgate/proxy"
)

// catch is a rule that does something to a journey.
type catch struct {
	rule    *rules.Rule
	what    string
	certain bool
}

// catches are the rules of others that fit and that journeys meet, each once.
func (h *host) catches(all *rules.Ruleset, journeys []journey, chain func(*rules.Chain) bool, fits func(*rules.Rule, rules.Packet) bool) []catch {
	var found []catch
	for _, j := range journeys {
		for _, c := range h.others(all, j) {
			if !chain(c) {
				continue
			}
			for _, hit := range all.Walk(c, j.packet).Hits {
				if !fits(hit.Rule, j.packet) {
					continue
				}
				i := slices.IndexFunc(found, func(f catch) bool { return f.rule == hit.Rule })
				if i < 0 {
					i = len(found)
					found = append(found, catch{rule: hit.Rule, what: j.what})
				}
				found[i].certain = found[i].certain || hit.Certain
			}
		}
	}
	return found
}

// finding is an error only if the rule is certain to match.
func (c catch) finding(verb, why string) Finding {
	f := Finding{
		Severity: Error, About: fmt.Sprintf("%v handle %d", c.rule.Chain, c.rule.Handle), Why: why,
		Seen: fmt.Sprintf("%s %s %s", name(c.rule), verb, c.what),
	}
	if !c.certain {
		f.Severity = Warning
		f.Seen = fmt.Sprintf("%s %s some of %s", name(c.rule), verb, c.what)
	}
	return f
}

func everyChain(*rules.Chain) bool { return true }

// ours is the priority of our chain in prerouting: one before dstnat.
const ours = -101

// natConflict looks for dnat, redirect and tproxy. Control connections are not
// translated by us, so any other chain may; data is, so only chains before ours
// can.
func natConflict(ctx context.Context, h *host) ([]Finding, error) {
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	translates := func(r *rules.Rule, _ rules.Packet) bool { return r.Translates() }
	control, data := h.arriving()
	caught := h.catches(all, control, everyChain, translates)
	before := func(c *rules.Chain) bool { return c.Priority <= ours }
	for _, c := range h.catches(all, data, before, translates) {
		if !slices.ContainsFunc(caught, func(o catch) bool { return o.rule == c.rule }) {
			caught = append(caught, c)
		}
	}
	var found []Finding
	for _, c := range caught {
		f := c.finding("sends elsewhere", "what it catches never reaches ftpgate")
		found = append(found, remove(ctx, all, c.rule).add(f))
	}
	return found, nil
}

func untracked(ctx context.Context, h *host) ([]Finding, error) {
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	control, data := h.arriving()
	var found []Finding
	untracks := func(r *rules.Rule, _ rules.Packet) bool { return r.Untracks() }
	for _, c := range h.catches(all, append(control, data...), everyChain, untracks) {
		f := c.finding("keeps from conntrack", "what conntrack does not know is neither marked nor translated, so no pinhole opens for it")
		found = append(found, remove(ctx, all, c.rule).add(f))
	}
	return found, nil
}

// kernelHelper looks for rules that assign the helper, and for the switch of
// older kernels that does so by itself.
func kernelHelper(ctx context.Context, h *host) ([]Finding, error) {
	found := h.automaticHelper()
	all, err := h.ruleset()
	if err != nil {
		return found, err
	}
	assigns := func(r *rules.Rule, p rules.Packet) bool { return all.Helper(r, p) == "ftp" }
	const why = "it reads the same commands and replies, and changes addresses and opens ports by itself"
	arriving := slices.Concat(h.control(unix.NF_INET_PRE_ROUTING), h.control(unix.NF_INET_LOCAL_IN), h.intercepted())
	for _, c := range h.catches(all, arriving, everyChain, assigns) {
		found = append(found, remove(ctx, all, c.rule).add(c.finding("assigns the kernel's FTP helper to", why)))
	}
	for _, c := range h.catches(all, h.dialled(), everyChain, assigns) {
		f := c.finding("assigns the kernel's FTP helper to", why)
		f.Severity = Warning
		found = append(found, remove(ctx, all, c.rule).add(f))
	}
	return found, nil
}

// dialled are our own connections to backends.
func (h *host) dialled() []journey {
	var all []journey
	h.each(func(svc *proxy.Service) {
		for _, b := range svc.Backends {
			out, _ := routeTo(b.Addr(), svc.SourceAddress)
			all = append(all, journey{what: fmt.Sprintf("our connections to %v", b), hook: unix.NF_INET_LOCAL_OUT, packet: rules.Packet{
				V6: b.Addr().Is6(), To: single(b.Addr()), ToPorts: rules.One(b.Port()), Out: out,
			}})
		}
	})
	return all
}

// automaticHelper is nf_conntrack_helper, which Linux 6.0 has taken away.
func (h *host) automaticHelper() []Finding {
	const name = "net/netfilter/nf_conntrack_helper"
	if on, err := h.sysctl(name); err != nil || on == "0" {
		return nil
	}
	ports, err := os.ReadFile(h.path("/sys/module/nf_conntrack_ftp/parameters/ports"))
	if err != nil {
		return nil // the helper is not there
	}
	var found []Finding
	h.each(func(svc *proxy.Service) {
		for _, l := range svc.Listen {
			if !slices.Contains(strings.Split(strings.TrimSpace(string(ports)), ","), strconv.Itoa(int(l.Port()))) {
				continue
			}
			f := Finding{
				Severity: Error, About: l.String(),
				Seen: fmt.Sprintf("the kernel gives its FTP helper to every connection to port %d (net.netfilter.nf_conntrack_helper = 1)", l.Port()),
				Why:  "it reads the same commands and replies, and changes addresses and opens ports by itself",
			}
			f.Mend, f.Keep = setSysctl(name, "0")
			found = append(found, f)
		}
	})
	return found
}
