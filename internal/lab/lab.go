// Package lab builds, on one machine, the network that an FTP gateway stands in: a client outside, a gateway with two
// sides, a server inside, each a network namespace of its own, joined by veth pairs.
//
//	client  198.51.100.7   ──┐
//	        2001:db8:1::7    ├─ wan  gateway  lan ── server  10.0.0.5
//	client2 198.51.100.8   ──┘  198.51.100.1  10.0.0.1       fd00:10::5
//	(on request)                2001:db8:1::1 fd00:10::1
//
// The gateway forwards. The server's default route is the gateway; the clients know nothing of the inside unless
// Options.Routed says so. On request there is a second host inside, server2, and a second gateway, with the client behind it:
//
//	client  192.168.7.7 ── lan  gateway2  wan ── wan  gateway
//	        fd00:77::7     192.168.7.1  198.51.100.2
//	                       fd00:77::1   2001:db8:1::2
//
//	l, err := lab.New(lab.Options{})
//	if err != nil { … }
//	defer l.Close()
//	ln, err := l.Server.Listen("tcp", "10.0.0.5:21")
//	err = l.Gateway.Do(func() error { return install() })
//	err = l.Client.Command(ctx, "curl", "ftp://198.51.100.1/").Run()
//
// The namespaces have no names: descriptors of this process hold them, and every process started in them dies with the
// thread that started it. So a crash, kill -9 included, leaves nothing behind.
//
// Be aware: building a lab takes CAP_SYS_ADMIN and CAP_NET_ADMIN. Reexec gets them from a user namespace where the
// kernel allows that. A socket keeps its namespace alive: close listeners and connections before asking whether a
// namespace is gone.
package lab

import (
	"errors"
	"fmt"
	"net/netip"
)

// The addresses of the lab. Prefixes are /24 and /64.
var (
	ClientV4  = netip.MustParseAddr("198.51.100.7")
	ClientV6  = netip.MustParseAddr("2001:db8:1::7")
	Client2V4 = netip.MustParseAddr("198.51.100.8")
	Client2V6 = netip.MustParseAddr("2001:db8:1::8")
	WanV4     = netip.MustParseAddr("198.51.100.1")
	WanV6     = netip.MustParseAddr("2001:db8:1::1")
	LanV4     = netip.MustParseAddr("10.0.0.1")
	LanV6     = netip.MustParseAddr("fd00:10::1")
	ServerV4  = netip.MustParseAddr("10.0.0.5")
	ServerV6  = netip.MustParseAddr("fd00:10::5")
	Server2V4 = netip.MustParseAddr("10.0.0.6")
	Server2V6 = netip.MustParseAddr("fd00:10::6")

	// With Options.SecondGateway: both its sides, and the client behind it.
	Wan2V4   = netip.MustParseAddr("198.51.100.2")
	Wan2V6   = netip.MustParseAddr("2001:db8:1::2")
	Lan2V4   = netip.MustParseAddr("192.168.7.1")
	Lan2V6   = netip.MustParseAddr("fd00:77::1")
	BehindV4 = netip.MustParseAddr("192.168.7.7")
	BehindV6 = netip.MustParseAddr("fd00:77::7")
)

// The names of the interfaces. Clients and servers have HostLink, gateways have the other two.
const (
	HostLink = "eth0"
	WanLink  = "wan"
	LanLink  = "lan"
)

// Options says what differs from the plain lab. The zero value is the plain lab.
type Options struct {
	SecondClient  bool // build Client2; both clients then hang on a switch
	SecondServer  bool // build Server2; so do both servers
	SecondGateway bool // build Gateway2, and put Client behind it, where it has other addresses
	NoIPv6        bool // no IPv6 anywhere, for kernels without it
	Routed        bool // give the clients a route to the inside: how things are without NAT
}

// Lab is a client, a gateway and a server. What the Options do not ask for is nil.
type Lab struct {
	Client   *Host
	Client2  *Host
	Gateway2 *Host
	Gateway  *Host
	Server   *Host
	Server2  *Host

	wire *Host // has the switches of networks with more than two hosts
}

// New builds a lab. The caller closes it.
func New(o Options) (*Lab, error) {
	l := new(Lab)
	if err := l.build(o); err != nil {
		return nil, errors.Join(fmt.Errorf("build the lab: %w", err), l.Close())
	}
	return l, nil
}

func (l *Lab) build(o Options) error {
	if err := needPrivilege(); err != nil {
		return err
	}
	for _, w := range []struct {
		name   string
		host   **Host
		wanted bool
	}{
		{"client", &l.Client, true},
		{"gateway", &l.Gateway, true},
		{"server", &l.Server, true},
		{"client2", &l.Client2, o.SecondClient},
		{"server2", &l.Server2, o.SecondServer},
		{"gateway2", &l.Gateway2, o.SecondGateway},
		{"switch", &l.wire, o.SecondClient || o.SecondServer},
	} {
		if !w.wanted {
			continue
		}
		h, err := newHost(w.name)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		*w.host = h
	}
	return l.connect(o)
}

// Close kills every process started in the lab, waits for them, and lets go of the namespaces.
func (l *Lab) Close() error {
	var errs []error
	for _, h := range l.hosts() {
		errs = append(errs, h.close())
	}
	return errors.Join(errs...)
}

// hosts returns the hosts that exist: all of them, except while building.
func (l *Lab) hosts() []*Host {
	var hosts []*Host
	for _, h := range []*Host{l.Client, l.Client2, l.Gateway2, l.Gateway, l.Server, l.Server2, l.wire} {
		if h != nil {
			hosts = append(hosts, h)
		}
	}
	return hosts
}
