package main

import (
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// exposed is all that a daemon with one service exposes.
func exposed(t *testing.T) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewRegistry()
	m := newDaemonMetrics(r)
	m.reloaded(true, time.Unix(1, 0))
	m.watchConntrack(&conntrack.Listener{})
	m.watchAudit(nil)
	server := proxy.NewServer(proxy.Options{Metrics: proxy.NewMetrics(r), Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(server.Drain)
	if err := server.Reload(proxy.Settings{Services: []proxy.Service{{
		Name: "files", Mode: proxy.Reverse,
		Listen:   []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")},
		Backends: []netip.AddrPort{netip.MustParseAddrPort("10.0.0.5:21")},
	}}}); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestMetricsAreClean(t *testing.T) {
	problems, err := testutil.GatherAndLint(exposed(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, "go_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// docs/metrics.md names every metric and every value of a label.
func TestMetricsAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	has := func(what string) {
		t.Helper()
		if !strings.Contains(string(page), "`"+what+"`") {
			t.Errorf("docs/metrics.md lacks `%s`", what)
		}
	}
	families, err := exposed(t).Gather()
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "ftpgate_") {
			continue
		}
		ours++
		has(f.GetName())
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				switch l.GetName() {
				case "service", "backend", "version", "goversion":
				case "class": // 1yz to 6yz
				default:
					has(l.GetValue())
				}
			}
		}
	}
	if ours < 20 {
		t.Errorf("only %d metrics of ours were gathered", ours)
	}
	for _, r := range alg.Reasons() {
		has(r.String())
	}
}
