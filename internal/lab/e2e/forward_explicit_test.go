package e2e

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// TestForwardExplicitMatrix is clients inside that dial the gateway and say
// USER user@host: real servers × clients × modes × families.
func TestForwardExplicitMatrix(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	l := forwardLab(t)
	m := labtest.Matrix{Tree: tree, From: l.Server, Size: smallFile, Parallel: true, Clients: []string{"curl", "ftplib"}}
	for i, name := range debian.Servers {
		host, v4, v6, port := l.Client, lab.ClientV4, lab.ClientV6, uint16(21)
		switch {
		case name == debian.PureFTPd: // it lets nobody else have port 20 of a host
			host, v4, v6 = l.Client2, lab.Client2V4, lab.Client2V6
		case i > 0:
			port = 2200
		}
		server := labtest.StartServer(t, tree, host, name, port)
		for _, to := range []struct{ listener, server netip.Addr }{{lab.LanV4, v4}, {lab.LanV6, v6}} {
			target := labtest.Target{Name: fmt.Sprintf("%s-%v", name, to.server), Server: server, Login: named(to.server, port)}
			if at := netip.AddrPortFrom(to.listener, 2121); to.listener.Is4() {
				target.V4 = at
			} else {
				target.V6 = at
			}
			m.Targets = append(m.Targets, target)
		}
	}
	m.Except = func(job debian.Job) bool { // curl takes what is behind the first colon for the password
		return job.Client == "curl" && strings.Contains(job.Login, ":")
	}
	g := startForward(t, l, "explicit = true", "")
	m.Run(t)
	g.noPinholes()
}

// named is the login of a client that names a server.
func named(server netip.Addr, port uint16) string {
	at := netip.AddrPortFrom(server, port).String()
	if server.Is4() {
		at = strings.TrimSuffix(at, ":21")
	}
	return debian.User + "@" + at
}

// Who names the server can also go there as if it were not for the gateway, and
// what is denied is denied: by redirection and by name.
func TestForwardExplicit(t *testing.T) {
	l := forwardLab(t)
	startOn(t, l.Client, &ftpd.Server{}, outside4, outside6)
	startOn(t, l.Server2, &ftpd.Server{}, "10.0.0.6:21")    // private
	startOn(t, l.Gateway, &ftpd.Server{}, "127.0.0.1:2100") // on the gateway itself
	g := startForward(t, l, "explicit = true", "")
	intercepted(t, l.Server, outside4)
	intercepted(t, l.Server, outside6)

	for listener, denied := range map[string][]string{
		listener4: {
			"10.0.0.6", "10.0.0.1:2121", "198.51.100.1", "198.51.100.1:2121", "127.0.0.1", "127.0.0.1:2100", "127.1.2.3:2100",
			"169.254.169.254", "192.168.7.7", "100.64.0.1", "0.0.0.0:2100", "255.255.255.255", "224.0.0.1", "localhost:2100",
			"[::ffff:127.0.0.1]:2100", "[::ffff:10.0.0.6]:21",
		},
		listener6: {
			"[::1]:2121", "[::]:2121", "[fd00:10::6]:21", "[fd00:10::1]:2121", "[2001:db8:1::1]:2121", "[fe80::1]:21", "[fe80::1%lan]:21",
			"[ff02::1]:21", "[::ffff:127.0.0.1]:2100", "[::ffff:10.0.0.6]:21",
		},
	} {
		c, err := ftpc.Dial(l.Server, listener)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for i, host := range denied {
			if i > 0 && i%15 == 0 { // a client has not many guesses
				c.Close()
				if c, err = ftpc.Dial(l.Server, listener); err != nil {
					t.Fatal(err)
				}
				defer c.Close()
			}
			if r, err := c.Do("USER demo@" + host); err != nil || r.Code != 530 {
				t.Errorf("USER demo@%s: %v %v, want 530", host, r.Lines, err)
			}
		}
	}
	if n := g.metric(`ftpgate_logins_total{result="ok",service="out"}`); n != "2" {
		t.Errorf("%s logins are counted, want the two of who was intercepted", n)
	}
}
