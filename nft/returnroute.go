package nft

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The places of our rules among those of ip rule. They come before the ones that
// programs usually add: those of a VPN that takes everything would win otherwise.
const (
	returnPriority = 1421
	checkPriority  = 1420 // see rules
)

// returnProtocol tells our rules and routes from those of others (ip rule: "proto 121").
const returnProtocol = 121

// A RouteTakenError says that the routing table or the priority of the rule is
// somebody else's.
type RouteTakenError struct {
	Family string // IPv4 or IPv6
	What   string // the rule or route that is in the way
	Mend   string // the command that removes it
}

func (e *RouteTakenError) Error() string {
	return fmt.Sprintf("%s: %s is not ours: use another table, or remove it with: %s", e.Family, e.What, e.Mend)
}

// AddReturnRoute makes packets that carry the mark come to this host, wherever
// they go, by rules of ip rule and a table of its own, for both families. What is
// there already from an earlier call is fine; what somebody else has at that
// priority or in that table is a RouteTakenError, and nothing is changed. It acts in
// the network namespace of the calling thread.
func AddReturnRoute(mark uint32, table int) error {
	err := eachReturnRoute(mark, table, func(r returnRoute) error { return r.taken() })
	if err == nil {
		err = eachReturnRoute(mark, table, func(r returnRoute) error { return r.add() })
	}
	if err != nil {
		return fmt.Errorf("route packets with mark %#x home by table %d: %w", mark, table, err)
	}
	return nil
}

// RemoveReturnRoute takes away what AddReturnRoute has made. It may be gone.
func RemoveReturnRoute(mark uint32, table int) error {
	err := eachReturnRoute(mark, table, func(r returnRoute) error { return r.remove() })
	if err != nil {
		return fmt.Errorf("remove the route of packets with mark %#x by table %d: %w", mark, table, err)
	}
	return nil
}

// returnRoute is the rules and the route of one family.
type returnRoute struct {
	*netlink.Handle
	family int
	mark   uint32
	table  int
	lo     int // index of the loopback interface
}

func eachReturnRoute(mark uint32, table int, do func(returnRoute) error) error {
	if mark == 0 {
		return errors.New("needs a mark")
	}
	if table <= 0 || table >= unix.RT_TABLE_DEFAULT && table <= unix.RT_TABLE_LOCAL {
		return fmt.Errorf("table %d is the kernel's own", table)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer h.Close()
	lo, err := h.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("look for the loopback interface: %w", err)
	}
	families := []int{unix.AF_INET}
	if hasIPv6() {
		families = append(families, unix.AF_INET6)
	}
	var errs []error
	for _, family := range families {
		errs = append(errs, do(returnRoute{h, family, mark, table, lo.Attrs().Index}))
	}
	return errors.Join(errs...)
}

// hasIPv6 is false also where the loopback interface has it turned off: there are
// no local routes then.
func hasIPv6() bool {
	off, err := os.ReadFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6")
	return err == nil && strings.TrimSpace(string(off)) == "0"
}

func (r returnRoute) name() string {
	if r.family == unix.AF_INET {
		return "IPv4"
	}
	return "IPv6"
}

// rules lead what carries the mark to the route. Where the kernel takes the mark
// into account when it checks sources (src_valid_mark, which only IPv4 has), it also
// asks how an answer to the sender would go: by the route too, were it not for
// another rule. The kernel asks that as if for a packet from the loopback interface.
func (r returnRoute) rules() []*netlink.Rule {
	home := netlink.NewRule()
	home.Family, home.Priority, home.Table = r.family, returnPriority, r.table
	home.Mark, home.Mask, home.Protocol = r.mark, &r.mark, returnProtocol
	if r.family == unix.AF_INET6 {
		return []*netlink.Rule{home}
	}
	check := *home
	check.Priority, check.Table, check.IifName = checkPriority, unix.RT_TABLE_MAIN, "lo"
	return []*netlink.Rule{&check, home}
}

func (r returnRoute) route() *netlink.Route {
	all := &net.IPNet{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)}
	if r.family == unix.AF_INET6 {
		all = &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}
	}
	return &netlink.Route{Family: r.family, Table: r.table, Type: unix.RTN_LOCAL, Scope: netlink.SCOPE_HOST,
		Dst: all, LinkIndex: r.lo, Protocol: returnProtocol}
}

func (r returnRoute) ownsRule(rule netlink.Rule) bool {
	return slices.ContainsFunc(r.rules(), func(ours *netlink.Rule) bool {
		return rule.Priority == ours.Priority && rule.Table == ours.Table && rule.Protocol == ours.Protocol &&
			rule.IifName == ours.IifName && rule.Mark == ours.Mark && rule.Mask != nil && *rule.Mask == *ours.Mask
	})
}

func (r returnRoute) ownsRoute(route netlink.Route) bool {
	return route.Protocol == returnProtocol && route.Type == unix.RTN_LOCAL && route.LinkIndex == r.lo
}

// taken looks for what is somebody else's.
func (r returnRoute) taken() error {
	rules, err := r.RuleList(r.family)
	if err != nil {
		return fmt.Errorf("list the %s routing rules: %w", r.name(), err)
	}
	ip := map[int]string{unix.AF_INET: "ip", unix.AF_INET6: "ip -6"}[r.family]
	for _, rule := range rules {
		mine := rule.Priority == returnPriority || rule.Priority == checkPriority || rule.Table == r.table
		if mine && !r.ownsRule(rule) {
			what := fmt.Sprintf("routing rule %d, to table %d with mark %#x", rule.Priority, rule.Table, rule.Mark)
			return &RouteTakenError{r.name(), what, fmt.Sprintf("%s rule del priority %d table %d", ip, rule.Priority, rule.Table)}
		}
	}
	routes, err := r.RouteListFiltered(r.family, &netlink.Route{Table: r.table}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return fmt.Errorf("list the %s routes of table %d: %w", r.name(), r.table, err)
	}
	for _, route := range routes {
		if !r.ownsRoute(route) {
			what := fmt.Sprintf("the route to %v in table %d", route.Dst, r.table)
			return &RouteTakenError{r.name(), what, fmt.Sprintf("%s route flush table %d", ip, r.table)}
		}
	}
	return nil
}

// add puts the route first: a rule that leads nowhere would let marked packets go on.
func (r returnRoute) add() error {
	if err := r.RouteReplace(r.route()); err != nil {
		return fmt.Errorf("add the %s route: %w", r.name(), err)
	}
	for _, rule := range r.rules() {
		if err := r.RuleAdd(rule); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add the %s routing rule %d: %w", r.name(), rule.Priority, err)
		}
	}
	return nil
}

func (r returnRoute) remove() error {
	var errs []error
	for _, rule := range r.rules() {
		if err := r.RuleDel(rule); err != nil && !errors.Is(err, unix.ENOENT) {
			errs = append(errs, fmt.Errorf("remove the %s routing rule %d: %w", r.name(), rule.Priority, err))
		}
	}
	if err := r.RouteDel(r.route()); err != nil && !errors.Is(err, unix.ESRCH) {
		errs = append(errs, fmt.Errorf("remove the %s route: %w", r.name(), err))
	}
	return errors.Join(errs...)
}
