package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/dnsd"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
)

// withNames starts the daemon with an /etc of its own, by which it asks a server
// of the test for names.
func withNames(t *testing.T, g *gateway, zone *dnsd.Zone) {
	t.Helper()
	etc := t.TempDir()
	for name, text := range map[string]string{
		"resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "nsswitch.conf": "hosts: dns\n", "hosts": "",
	} {
		if err := os.WriteFile(filepath.Join(etc, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var conn net.PacketConn
	err := g.lab.Gateway.Do(func() (err error) {
		conn, err = net.ListenPacket("udp", "127.0.0.1:53")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- zone.Serve(conn) }()
	t.Cleanup(func() {
		conn.Close()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	p := &patient{gateway: g, etc: etc}
	g.cmd = p.command(program, "run", "-c", g.config)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is ready", func() bool { return strings.Contains(g.log.String(), "msg=ready") })
}

// A name in advertise is asked for again, and what it was counts while there is
// no answer.
func TestAdvertiseName(t *testing.T) {
	l := newLab(t)
	startFTPD(t, l)
	zone := dnsd.New()
	zone.Set("ftp.example.com", netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8:9::1"))
	config := fmt.Sprintf(services, `advertise = "ftp.example.com"`)
	g := prepareGateway(t, l, config)
	withNames(t, g, zone)
	told := func(want string) {
		t.Helper()
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		if d.At.Addr().String() != want {
			t.Errorf("the client is led to %v, want %s", d.At, want)
		}
		d.At = netip.AddrPortFrom(lab.WanV4, d.At.Port())
		if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
			t.Error(err)
		}
	}
	told("203.0.113.1")
	zone.Set("ftp.example.com", netip.MustParseAddr("203.0.113.2"))
	g.reload(config)
	told("203.0.113.2")
	zone.Set("ftp.example.com")
	g.reload(config)
	told("203.0.113.2")
	if !strings.Contains(g.log.String(), "the name in advertise has no address") {
		t.Error("the log does not say that the name is gone")
	}
}

// A name at login is judged by its addresses, and what was judged is what is
// dialled.
func TestForwardExplicitNames(t *testing.T) {
	l := forwardLab(t)
	startOn(t, l.Client, &ftpd.Server{}, outside4, outside6)
	startOn(t, l.Server2, &ftpd.Server{}, "10.0.0.6:21")
	zone := dnsd.New()
	zone.Set("ftp.example.com", lab.ClientV4, lab.ClientV6)
	zone.Set("inside.example.com", lab.Server2V4, lab.Server2V6)
	zone.Set("both.example.com", lab.Server2V4, lab.ClientV4)
	g := prepareGateway(t, l, strings.Replace(leading, "%s", "explicit = true", 1))
	withNames(t, g, zone)
	for _, at := range []string{listener4, listener6} {
		for _, tt := range []struct {
			host string
			code int
		}{
			{"ftp.example.com", 331}, {"inside.example.com", 530}, {"nobody.example.com", 530},
			{"both.example.com", map[string]int{listener4: 331, listener6: 530}[at]},
		} {
			c, err := ftpc.Dial(l.Server, at)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			r, err := c.Do("USER demo@" + tt.host)
			if err != nil || r.Code != tt.code {
				t.Errorf("%s at %s: %v %v, want %d", tt.host, at, r.Lines, err, tt.code)
			}
			if r.Code == 331 {
				if err := c.Must(2, "PASS demo"); err != nil {
					t.Error(err)
				}
				if _, err := c.Download(setUp(t, c, "EPSV"), "RETR /zero-1K"); err != nil {
					t.Errorf("%s at %s: %v", tt.host, at, err)
				}
			}
		}
	}
}
