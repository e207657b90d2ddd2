package main

import (
	"sync/atomic"
	"time"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/audit"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// daemonMetrics are those that are not of sessions.
type daemonMetrics struct {
	registry   *prometheus.Registry
	reloadGood prometheus.Gauge
	reloadTime prometheus.Gauge
	conntrack  atomic.Pointer[conntrack.Listener]
	resyncs    atomic.Uint64 // of listeners that have ended
}

func newDaemonMetrics(r *prometheus.Registry) *daemonMetrics {
	m := &daemonMetrics{
		registry: r,
		reloadGood: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ftpgate_config_last_reload_successful", Help: "Whether the last attempt to load the configuration succeeded.",
		}),
		reloadTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "ftpgate_config_last_reload_success_timestamp_seconds", Help: "When the configuration in force was loaded.",
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "ftpgate_build_info", Help: "Always 1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "goversion": goVersion()},
	})
	info.Set(1)
	resyncs := prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ftpgate_conntrack_resyncs_total", Help: "How often conntrack events were lost and the state was read again.",
	}, m.conntrackResyncs)
	r.MustRegister(info, m.reloadGood, m.reloadTime, resyncs, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watchAudit counts what no audit file has.
func (m *daemonMetrics) watchAudit(l *audit.Log) {
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ftpgate_audit_dropped_total", Help: "Audit events that could not be written.",
	}, func() float64 { return float64(l.Dropped()) }))
}

// acceptRules shows in which chains of accept_in our rule is, as it was last seen.
type acceptRules struct{ table *nft.Table }

var acceptRulePresent = prometheus.NewDesc("ftpgate_accept_rule_present",
	"Whether the rule that accepts our mark is in a chain of accept_in.", []string{"chain"}, nil)

func (acceptRules) Describe(ch chan<- *prometheus.Desc) { ch <- acceptRulePresent }

func (a acceptRules) Collect(ch chan<- prometheus.Metric) {
	for _, s := range a.table.Accepted() {
		value := 0.0
		if s.Status == nft.AcceptPresent {
			value = 1
		}
		ch <- prometheus.MustNewConstMetric(acceptRulePresent, prometheus.GaugeValue, value, s.Chain.String())
	}
}

func (m *daemonMetrics) watchTable(t *nft.Table) {
	m.registry.MustRegister(acceptRules{t}, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ftpgate_accept_rule_reinserts_total", Help: "How often the rule that accepts our mark was put back after somebody dropped it.",
	}, func() float64 { return float64(t.AcceptReinserts()) }))
	m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "ftpgate_nft_reinstalls_total", Help: "How often the nftables table was put back after somebody removed it.",
	}, func() float64 { return float64(t.Reinstalls()) }))
}

// watchConntrack makes l the listener whose resyncs are counted.
func (m *daemonMetrics) watchConntrack(l *conntrack.Listener) {
	if before := m.conntrack.Swap(l); before != nil {
		m.resyncs.Add(before.Resyncs())
	}
}

func (m *daemonMetrics) conntrackResyncs() float64 {
	n := m.resyncs.Load()
	if l := m.conntrack.Load(); l != nil {
		n += l.Resyncs()
	}
	return float64(n)
}

func (m *daemonMetrics) reloaded(good bool, when time.Time) {
	if !good {
		m.reloadGood.Set(0)
		return
	}
	m.reloadGood.Set(1)
	m.reloadTime.Set(float64(when.UnixMilli()) / 1000)
}
