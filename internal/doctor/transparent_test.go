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
)

// routed are the settings with which the tests make transparent sources.
var routed = transparent{mark: 0x800, table: 21421, links: []string{lab.LanLink}}

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
	run(t, l.Gateway, fmt.Sprintf("ip rule add fwmark %d/%d lookup %d pref 100", routed.mark, routed.mark, routed.table),
		fmt.Sprintf("ip route add local default dev lo table %d", routed.table))
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

func emptyHost() *host { return newHost(Options{File: &config.File{}}) }

// What the check says of each combination is what becomes of a connection: an
// error when it fails, none when it succeeds. The printed commands mend it.
func TestReversePath(t *testing.T) {
	for _, filter := range []int{0, 1, 2} {
		for _, marked := range []int{0, 1} {
			for _, at := range []string{"all", lab.LanLink, "all " + lab.LanLink} {
				t.Run(fmt.Sprintf("rp_filter %d and src_valid_mark %d of %s", filter, marked, at), func(t *testing.T) {
					l := labtest.New(t, lab.Options{})
					transparentSources(t, l)
					listener, err := l.Server.Listen("tcp", "10.0.0.5:21")
					if err != nil {
						t.Fatal(err)
					}
					defer listener.Close()
					for _, of := range strings.Fields(at) {
						run(t, l.Gateway, fmt.Sprintf("sysctl -w net.ipv4.conf.%s.rp_filter=%d net.ipv4.conf.%[1]s.src_valid_mark=%d", of, filter, marked))
					}
					found := findReversePath(t, l)
					errs := 0
					for _, f := range found {
						if f.Severity == Error {
							errs++
						}
					}
					if passes := reaches(t, l); passes != (errs == 0) {
						t.Fatalf("a connection passes: %v; found: %+v", passes, found)
					}
					if strict := filter == 1; strict != (len(found) > errs) {
						t.Errorf("strict: %v, found: %+v", strict, found)
					}
					for _, f := range found {
						run(t, l.Gateway, f.Mend...)
					}
					if left := findReversePath(t, l); len(left) > 0 || !reaches(t, l) {
						t.Errorf("after the mend: %+v", left)
					}
				})
			}
		}
	}
}

func findReversePath(t *testing.T, l *lab.Lab) (found []Finding) {
	t.Helper()
	err := l.Gateway.Do(func() (err error) {
		found, err = emptyHost().reversePath(routed)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Others who route by our mark, or to our table. Our own rule is no finding.
func TestRouteTaken(t *testing.T) {
	tests := map[string]struct{ line, seen string }{
		"our mark":           {"ip rule add fwmark 0x800 lookup 50 pref 90", "ip rule 90, for packets with mark 0x800/0xffffffff, leads to table 50"},
		"a mask over it":     {"ip rule add fwmark 0x900/0xff00 lookup 50 pref 90", "mark 0x900/0xff00"},
		"our table":          {"ip rule add from 10.0.0.0/24 lookup 21421 pref 90", "ip rule 90 leads to table 21421"},
		"our mark, for IPv6": {"ip -6 rule add fwmark 0x800 lookup 50 pref 90", "ip -6 rule 90"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l := labtest.New(t, lab.Options{})
			transparentSources(t, l)
			look := func() (found []Finding) {
				t.Helper()
				if err := l.Gateway.Do(func() (err error) { found, err = routeTaken(routed); return err }); err != nil {
					t.Fatal(err)
				}
				return found
			}
			run(t, l.Gateway, "ip rule add fwmark 0x100/0x100 lookup 50 pref 80") // another's, of another bit
			if found := look(); len(found) > 0 {
				t.Fatalf("before: %+v", found)
			}
			run(t, l.Gateway, test.line)
			found := look()
			if len(found) != 1 || !strings.Contains(found[0].Seen, test.seen) {
				t.Fatalf("found %+v, want %q", found, test.seen)
			}
			run(t, l.Gateway, found[0].Mend...)
			if found := look(); len(found) > 0 {
				t.Errorf("after the mend: %+v", found)
			}
		})
	}
}
