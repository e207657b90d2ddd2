package e2e

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpd"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The address of a failover pair, on the gateway or on another host. The usual
// addresses of the gateway are served beside it.
const (
	vip4 = "198.51.100.50:21"
	vip6 = "[2001:db8:1::50]:21"
)

const failover = `
[[service]]
name = "files"
listen = ["198.51.100.50:21", "[2001:db8:1::50]:21", "198.51.100.1:21"]
backends = ["10.0.0.5:21", "[fd00:10::5]:21"]
tls.mode = "refuse"
`

// address adds an address to an interface of a host, or takes it away.
func address(t *testing.T, h *lab.Host, link, prefix string, add bool) {
	t.Helper()
	onLink(t, h, link, func(nl *netlink.Handle, l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		if a.Flags = unix.IFA_F_NODAD; add {
			return nl.AddrAdd(l, a)
		}
		return nl.AddrDel(l, a)
	})
}

// onLink changes something of an interface.
func onLink(t *testing.T, h *lab.Host, link string, change func(*netlink.Handle, netlink.Link) error) {
	t.Helper()
	err := h.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer nl.Close()
		l, err := nl.LinkByName(link)
		if err != nil {
			return err
		}
		return change(nl, l)
	})
	if err != nil {
		t.Fatalf("%s of %s: %v", link, h.Name, err)
	}
}

// An address that arrives is served at once, also one that was not there when
// the daemon began. When it goes to another host its sessions end within two
// seconds, with their pinholes; those at other addresses go on.
func TestVIP(t *testing.T) {
	for at, modes := range map[string][]string{vip4: {"PASV", "PORT"}, vip6: {"EPSV", "EPRT"}} {
		t.Run(at, func(t *testing.T) {
			vip := netip.MustParseAddrPort(at)
			prefix := netip.PrefixFrom(vip.Addr(), map[bool]int{true: 24, false: 64}[vip.Addr().Is4()]).String()
			l := newLab(t)
			startFTPD(t, l)
			g := prepareGateway(t, l, failover)
			g.start()
			other := login(t, l.Client, gateway4)
			for range 2 { // it goes, and comes back
				address(t, l.Gateway, lab.WanLink, prefix, true)
				forgetNeighbours(t, l.Client)
				c := login(t, l.Client, at)
				for _, mode := range modes {
					if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
						t.Errorf("%s: %v", mode, err)
					}
				}
				setUp(t, c, modes[0])
				if n := len(g.pinholes()); n != 1 {
					t.Errorf("%d pinholes, want the unused one", n)
				}

				address(t, l.Gateway, lab.WanLink, prefix, false)
				left := time.Now()
				address(t, l.Client2, lab.HostLink, prefix, true)
				eventually(t, "the session has ended", func() bool { return g.metric(`ftpgate_sessions{service="files"}`) == "1" })
				g.noPinholes()
				t.Logf("the session ended after %v; two seconds are promised", time.Since(left))
				if err := other.Must(2, "NOOP"); err != nil {
					t.Errorf("a session at another address: %v", err)
				}
				served(t, l, at)
				address(t, l.Client2, lab.HostLink, prefix, false)
			}
			if n := g.metric(`ftpgate_sessions_total{result="address_gone",service="files"}`); n != "2" {
				t.Errorf("%s sessions are counted as of an address that is gone, want 2", n)
			}
		})
	}
}

// The address from which servers outside are dialled may be such a one too. The
// client, which is still there, is told.
func TestVIPTowardsServers(t *testing.T) {
	l := forwardLab(t)
	startOn(t, l.Client, &ftpd.Server{}, outside4, outside6)
	const vip = "198.51.100.50/24"
	address(t, l.Gateway, lab.WanLink, vip, true)
	g := startForward(t, l, `source_address = "198.51.100.50"`, "")
	c, other := login(t, l.Server, outside4), login(t, l.Server2, outside6)
	for _, mode := range inwardModes[outside4] {
		if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	setUp(t, c, "PORT")

	address(t, l.Gateway, lab.WanLink, vip, false)
	left := time.Now()
	if r, err := c.Read(); err != nil || r.Code != 421 {
		t.Errorf("the client is told %v: %v, want 421", r.Lines, err)
	}
	c.Close()
	eventually(t, "the session has ended", func() bool { return g.metric(`ftpgate_sessions{service="out"}`) == "1" })
	g.noPinholes()
	t.Logf("the session ended after %v; two seconds are promised", time.Since(left))
	if err := other.Must(2, "NOOP"); err != nil {
		t.Errorf("a session with another address: %v", err)
	}
	refused(t, l.Server, outside4, "421 ") // it cannot be dialled from an address that is not there
	address(t, l.Gateway, lab.WanLink, vip, true)
	intercepted(t, l.Server, outside4)
}

// served is what the other host of the pair does.
func served(t *testing.T, l *lab.Lab, at string) {
	t.Helper()
	forgetNeighbours(t, l.Client)
	t.Run("elsewhere", func(t *testing.T) {
		startOn(t, l.Client2, &ftpd.Server{Greeting: "the other one"}, at)
		c, err := l.Client.Dial(t.Context(), "tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		greeting := make([]byte, 64)
		n, err := c.Read(greeting)
		if err != nil || !strings.Contains(string(greeting[:n]), "the other one") {
			t.Errorf("%s says %q: %v", at, greeting[:n], err)
		}
	})
}

// forgetNeighbours is what a gratuitous ARP does, or an unsolicited advertisement.
func forgetNeighbours(t *testing.T, h *lab.Host) {
	t.Helper()
	onLink(t, h, lab.HostLink, func(nl *netlink.Handle, l netlink.Link) error {
		known, err := nl.NeighList(l.Attrs().Index, netlink.FAMILY_ALL)
		for i := range known {
			err = errors.Join(err, nl.NeighDel(&known[i]))
		}
		return err
	})
}
