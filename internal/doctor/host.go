package doctor

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"

	"ftpgate/internal/config"
	"ftpgate/internal/doctor/rules"
	"ftpgate/proxy"
)

// host is what the checks look at. What several of them need is looked at once.
type host struct {
	Options
	file     *config.File
	services []proxy.Service

	ruleset func() (*rules.Ruleset, error)
	links   func() (map[netip.Addr]string, error) // the interface of each of our addresses
	daemon  func() daemon
	talks   func() []talk // with all backends
}

func newHost(o Options) *host {
	h := &host{Options: o, file: o.File, services: o.File.Settings.Services}
	h.ruleset = sync.OnceValues(func() (*rules.Ruleset, error) {
		ctx, cancel := context.WithTimeout(context.Background(), kernelTime)
		defer cancel()
		return rules.Read(ctx)
	})
	h.links = sync.OnceValues(readLinks)
	h.daemon = sync.OnceValue(h.findDaemon)
	h.talks = sync.OnceValue(h.talkToAll)
	return h
}

func (h *host) path(name string) string { return filepath.Join("/", h.Root, name) }

// sysctl reads a parameter; its name is written with slashes, since those of
// interfaces may have dots.
func (h *host) sysctl(name string) (string, error) {
	b, err := os.ReadFile(h.path("/proc/sys/" + name))
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(b)), nil
}

func (h *host) number(name string) (int, error) {
	text, err := h.sysctl(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return n, nil
}

// setSysctl is the command that sets a parameter, and what keeps it.
func setSysctl(name, value string) (mend []string, keep string) {
	name = dotted(name)
	return []string{fmt.Sprintf("sysctl -w %s=%s", name, value)},
		fmt.Sprintf("write %s = %s into a file of /etc/sysctl.d", name, value)
}

// dotted is the name of a parameter as people write it, where that is possible.
func dotted(name string) string {
	if strings.Contains(name, ".") {
		return name
	}
	return strings.ReplaceAll(name, "/", ".")
}

func readLinks() (map[netip.Addr]string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	links := map[netip.Addr]string{}
	for _, link := range all {
		addresses, err := link.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", link.Name, err)
		}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				links[p.Addr().Unmap()] = link.Name
			}
		}
	}
	return links, nil
}

// link returns the interface that has an address; "" if none has, or any may.
func (h *host) link(a netip.Addr) string {
	links, err := h.links()
	if err != nil {
		return ""
	}
	return links[a]
}

// routeTo returns the interface through which the kernel sends to an address.
func routeTo(to, from netip.Addr) (link string, err error) {
	options := &netlink.RouteGetOptions{}
	if from.IsValid() && from.Is4() == to.Is4() {
		options.SrcAddr = from.AsSlice()
	}
	routes, err := netlink.RouteGetWithOptions(to.AsSlice(), options)
	if err != nil || len(routes) == 0 {
		return "", err
	}
	l, err := net.InterfaceByIndex(routes[0].LinkIndex)
	if err != nil {
		return "", nil //nolint:nilerr // an interface that has just gone has no name, but there was a route
	}
	return l.Name, nil
}

// each calls f for every service.
func (h *host) each(f func(svc *proxy.Service)) {
	for i := range h.services {
		f(&h.services[i])
	}
}

// familyName is IPv4 or IPv6.
func familyName(v6 bool) string {
	if v6 {
		return "IPv6"
	}
	return "IPv4"
}
