package nft_test

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// routing counts rules of ip rule and routes in our table, of both families.
func (s *scene) routing() (rules, routes int) {
	s.Helper()
	err := s.Gateway.Do(func() error {
		for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
			all, err := netlink.RuleList(family)
			if err != nil {
				return err
			}
			rules += len(all)
			in, err := netlink.RouteListFiltered(family, &netlink.Route{Table: routeTable}, netlink.RT_FILTER_TABLE)
			if err != nil {
				return err
			}
			routes += len(in)
		}
		return nil
	})
	if err != nil {
		s.Fatal(err)
	}
	return rules, routes
}

func TestReturnRoute(t *testing.T) {
	s := &scene{labtest.New(t, lab.Options{}), t, nft.Features{}}
	rules, _ := s.routing()
	for range 2 { // again is fine
		s.addReturnRoute()
		if n, routes := s.routing(); n != rules+3 || routes != 2 {
			t.Errorf("%d rules more and %d routes, want 3 and 2", n-rules, routes)
		}
	}
	for range 2 {
		if err := s.returnRoute(nft.RemoveReturnRoute); err != nil {
			t.Error(err)
		}
		if n, routes := s.routing(); n != rules || routes != 0 {
			t.Errorf("left %d rules and %d routes", n-rules, routes)
		}
	}
}

func TestReturnRouteWithoutIPv6(t *testing.T) {
	s := &scene{labtest.New(t, lab.Options{NoIPv6: true}), t, nft.Features{}}
	s.sysctl("net.ipv6.conf.lo.disable_ipv6", "1")
	s.addReturnRoute()
	if _, routes := s.routing(); routes != 1 {
		t.Errorf("%d routes, want 1", routes)
	}
	if err := s.returnRoute(nft.RemoveReturnRoute); err != nil {
		t.Error(err)
	}
}

// What somebody else has there is named with the command that removes it, and
// nothing is done before it is gone.
func TestReturnRouteThatIsTaken(t *testing.T) {
	s := &scene{labtest.New(t, lab.Options{}), t, nft.Features{}}
	route := func(dst string) error {
		to, err := netlink.ParseIPNet(dst)
		if err != nil {
			return err
		}
		lan, err := netlink.LinkByName(lab.LanLink)
		if err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Table: routeTable, Dst: to, LinkIndex: lan.Attrs().Index})
	}
	rule := func(family, priority, table int) *netlink.Rule {
		r := netlink.NewRule()
		r.Family, r.Priority, r.Table = family, priority, table
		return r
	}
	for name, take := range map[string]func() error{
		"priority":       func() error { return netlink.RuleAdd(rule(unix.AF_INET, 1421, 99)) },
		"other priority": func() error { return netlink.RuleAdd(rule(unix.AF_INET, 1420, 99)) },
		"priority, IPv6": func() error { return netlink.RuleAdd(rule(unix.AF_INET6, 1421, 99)) },
		"table":          func() error { return netlink.RuleAdd(rule(unix.AF_INET, 7000, routeTable)) },
		"route":          func() error { return route("203.0.113.0/24") },
		"route, IPv6":    func() error { return route("2001:db8:9::/64") },
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{s.Lab, t, s.without}
			if err := s.Gateway.Do(take); err != nil {
				t.Fatal(err)
			}
			rules, routes := s.routing()
			var e *nft.RouteTakenError
			if err := s.returnRoute(nft.AddReturnRoute); !errors.As(err, &e) {
				t.Fatalf("got %v, want who has it", err)
			}
			if n, m := s.routing(); n != rules || m != routes {
				t.Errorf("changed: %d rules and %d routes, not %d and %d", n, m, rules, routes)
			}
			if out, err := s.Gateway.Command(t.Context(), "sh", "-c", e.Mend).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v: %s", e.Mend, err, out)
			}
			s.addReturnRoute()
			if err := s.returnRoute(nft.RemoveReturnRoute); err != nil {
				t.Error(err)
			}
		})
	}
	for _, table := range []int{0, -1, 253, 254, 255} {
		if err := s.Gateway.Do(func() error { return nft.AddReturnRoute(routeMark, table) }); err == nil {
			t.Errorf("table %d was used", table)
		}
	}
	if err := s.Gateway.Do(func() error { return nft.AddReturnRoute(0, routeTable) }); err == nil {
		t.Error("no mark was used")
	}
}
