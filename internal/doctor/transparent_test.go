package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ftpgate/internal/config"
	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// routed are the settings with which the tests make transparent sources.
var routed = transparent{mark: 0x800, table: 21421, links: []string{lab.LanLink}, runs: true}

// run types command lines on a host.
func run(t *testing.T, h *lab.Host, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if out, err := h.Command(t.Context(), "sh", "-c", l).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", l, err, out)
		}
	}
}

// transparentSources sets up what transparent sources need.
func transparentSources(t *testing.T, l *lab.Lab) {
	t.Helper()
	load(t, l, fmt.Sprintf("table inet div {\nchain div {\ntype filter hook prerouting priority mangle;\nmeta l4proto tcp socket transparent 1 meta mark set %d accept\n}\n}", routed.mark))
	if err := l.Gateway.Do(func() error { return nft.AddReturnRoute(routed.mark, routed.table) }); err != nil {
		t.Fatal(err)
	}
}

// load loads a ruleset at the gateway.
func load(t *testing.T, l *lab.Lab, ruleset string) {
	t.Helper()
	cmd := labtest.Tree(t).Command(t.Context(), l.Gateway, nil, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft -f: %v: %s\n%s", err, out, ruleset)
	}
}

// reaches dials the server from the client's address, at the gateway.
func reaches(t *testing.T, l *lab.Lab) bool {
	t.Helper()
	d := net.Dialer{
		LocalAddr: &net.TCPAddr{IP: lab.ClientV4.AsSlice()}, Timeout: 500 * time.Millisecond, FallbackDelay: -1,
		Control: func(_, _ string, raw syscall.RawConn) error {
			var opt error
			err := raw.Control(func(fd uintptr) { opt = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_TRANSPARENT, 1) })
			return errors.Join(err, opt)
		},
	}
	err := l.Gateway.Do(func() error {
		c, err := d.DialContext(t.Context(), "tcp", netip.AddrPortFrom(lab.ServerV4, 21).String())
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil && !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Fatal(err)
	}
	return err == nil
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// look examines the gateway.
func look(t *testing.T, l *lab.Lab) (found []Finding) {
	t.Helper()
	h := newHost(Options{File: &config.File{}})
	err := l.Gateway.Do(func() (err error) {
		found, err = h.examineRoute(routed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// However the kernel checks sources, connections pass and nothing is found; without
// our rule that answers with the mark they do not, and it is. What is printed mends it.
func TestSourcesByMark(t *testing.T) {
	for _, filter := range []int{0, 1, 2} {
		for _, marked := range []int{0, 1} {
			for _, at := range []string{"all", lab.LanLink} {
				t.Run(fmt.Sprintf("rp_filter %d and src_valid_mark %d of %s", filter, marked, at), func(t *testing.T) {
					l := labtest.New(t, lab.Options{})
					transparentSources(t, l)
					listener, err := l.Server.Listen("tcp", "10.0.0.5:21")
					if err != nil {
						t.Fatal(err)
					}
					defer listener.Close()
					run(t, l.Gateway, fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=%d net.ipv4.conf.%[1]s.src_valid_mark=%[3]d", at, filter, marked))
					if found := look(t, l); len(found) > 0 || !reaches(t, l) {
						t.Fatalf("with our rules: %+v", found)
					}
					run(t, l.Gateway, "ip rule del pref 1420")
					found := look(t, l)
					if len(found) != marked {
						t.Fatalf("without the rule that checks: %+v", found)
					}
					if passes := reaches(t, l); !passes && marked == 0 {
						t.Error("a connection does not pass, and nothing is found")
					} else if passes && marked == 1 {
						t.Error("a connection passes, which the doctor says cannot")
					}
					for _, f := range found {
						run(t, l.Gateway, f.Mend...)
					}
					if found := look(t, l); len(found) > 0 || !reaches(t, l) {
						t.Errorf("after the mend: %+v", found)
					}
				})
			}
		}
	}
}

// Rules of ours that somebody has taken away, and rules of others in their place.
func TestReturnRoute(t *testing.T) {
	tests := map[string]struct{ line, seen string }{
		"gone":                {"ip rule del pref 1421", "ip rule 1421, for packets with mark 0x800, is gone"},
		"gone, of IPv6":       {"ip -6 rule del pref 1421", "ip -6 rule 1421, for packets with mark 0x800, is gone"},
		"our mark":            {"ip rule add fwmark 0x800 lookup 50 pref 90", "ip rule 90, for packets with mark 0x800, leads to table 50"},
		"a mask over it":      {"ip rule add fwmark 0x900/0xff00 lookup 50 pref 90", "mark 0x900"},
		"our table":           {"ip rule add from 10.0.0.0/24 lookup 21421 pref 90", "ip rule 90 leads to table 21421"},
		"our place":           {"ip rule add from 192.0.2.0/24 lookup 50 pref 1421", "ip rule 1421 leads to table 50"},
		"our mark, with IPv6": {"ip -6 rule add fwmark 0x800 lookup 50 pref 90", "ip -6 rule 90"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := labtest.New(t, lab.Options{})
			transparentSources(t, l)
			run(t, l.Gateway, "ip rule add fwmark 0x100/0x100 lookup 50 pref 80") // another's, of another bit
			if found := look(t, l); len(found) > 0 {
				t.Fatalf("before: %+v", found)
			}
			run(t, l.Gateway, test.line)
			found := look(t, l)
			if len(found) != 1 || !strings.Contains(found[0].Seen, test.seen) {
				t.Fatalf("found %+v, want %q", found, test.seen)
			}
			run(t, l.Gateway, found[0].Mend...)
			if found := look(t, l); len(found) > 0 {
				t.Errorf("after the mend: %+v", found)
			}
			if err := l.Gateway.Do(func() error { return nft.AddReturnRoute(routed.mark, routed.table) }); err != nil {
				t.Errorf("ftpgate would not take what is there: %v", err)
			}
		})
	}
}
