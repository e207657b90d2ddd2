package nft_test

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata/*.golden")

var rulesets = map[string]nft.Config{
	"default": {},
	"owned": {
		Owner:  true,
		Listen: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:21"), netip.MustParseAddrPort("[2001:db8:1::1]:21")},
	},
	"other": {
		Name: "doors", Mark: 0x80, Timeout: 90*time.Second + 500*time.Millisecond,
		Listen: []netip.AddrPort{
			netip.MustParseAddrPort("0.0.0.0:2121"), netip.MustParseAddrPort("[::]:2121"), netip.MustParseAddrPort("[::]:21"),
			netip.MustParseAddrPort("198.51.100.1:990"), netip.MustParseAddrPort("[::ffff:10.0.0.1]:21"),
		},
	},
}

// intercepts belong to some of the rulesets.
var intercepts = map[string][]nft.Intercept{
	"other": {
		{
			From:   []netip.Prefix{netip.MustParsePrefix("10.0.0.0/25"), netip.MustParsePrefix("10.0.0.128/25"), netip.MustParsePrefix("fd00:10::/64")},
			Except: []netip.Prefix{netip.MustParsePrefix("10.0.0.5/32"), netip.MustParsePrefix("10.0.0.6/32"), netip.MustParsePrefix("192.168.0.0/16")},
			Ports:  []uint16{2121, 21}, Interfaces: []string{"lan"},
			To: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.1:2100"), netip.MustParseAddrPort("[fd00:10::1]:2100")},
		},
		{
			From: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("172.16.0.0/12")}, Ports: []uint16{990},
			To: []netip.AddrPort{netip.MustParseAddrPort("[::]:9900")},
		},
	},
}

func TestRulesetText(t *testing.T) {
	for name, cfg := range rulesets {
		golden := filepath.Join("testdata", name+".golden")
		got := nft.Ruleset(cfg, intercepts[name]...)
		if *rewrite {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s: -want +got\n%s", name, diff)
		}
	}
}

// TestRulesetIsWhatIsInstalled compares the text with the kernel's own, as nft
// prints it.
func TestRulesetIsWhatIsInstalled(t *testing.T) {
	s := &scene{labtest.New(t, lab.Options{}), t, nft.Features{}}
	for name, cfg := range rulesets {
		var table *nft.Table
		err := s.Gateway.Do(func() (err error) {
			table, err = nft.Open(cfg)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		s.setIntercept(table, intercepts[name]...)
		installed := s.nft("list", "table", "inet", table.Name())
		if diff := cmp.Diff(words(installed), words(nft.Ruleset(cfg, intercepts[name]...))); diff != "" {
			t.Errorf("%s: -installed +printed\n%s", name, diff)
		}
		if err := table.Remove(); err != nil {
			t.Fatal(err)
		}
	}
}

// words leaves out what depends on nft's version and not on the table: spacing,
// the name of the owning program, and a flag that nft 1.0 does not know.
func words(ruleset string) []string {
	ruleset = regexp.MustCompile(`# progname \S+`).ReplaceAllString(ruleset, "")
	ruleset = strings.ReplaceAll(ruleset, "flags owner,persist", "flags owner")
	return strings.Fields(ruleset)
}
