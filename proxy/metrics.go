package proxy

import (
	"net/netip"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/cause"

	"github.com/prometheus/client_golang/prometheus"
)

// Names of the metrics of sessions, all with the prefix ftpgate_.
const (
	nameSessions        = "ftpgate_sessions"
	nameSessionsTotal   = "ftpgate_sessions_total"
	nameSessionDuration = "ftpgate_session_duration_seconds"
	nameSessionsLimit   = "ftpgate_sessions_limit"
	nameCommands        = "ftpgate_commands_total"
	nameReplies         = "ftpgate_replies_total"
	nameRewrites        = "ftpgate_rewrites_total"
	nameRefusals        = "ftpgate_refusals_total"
	nameLogins          = "ftpgate_logins_total"
	namePinholes        = "ftpgate_pinholes"
	namePinholesTotal   = "ftpgate_pinholes_total"
	namePinholeOpen     = "ftpgate_pinhole_open_seconds"
	namePortsInUse      = "ftpgate_ports_in_use"
	namePortsExhausted  = "ftpgate_ports_exhausted_total"
	nameTransfers       = "ftpgate_transfers_total"
	nameTransfersActive = "ftpgate_transfers_active"
	nameTransferTime    = "ftpgate_transfer_duration_seconds"
	nameTransferBytes   = "ftpgate_transfer_bytes_total"
	nameFailures        = "ftpgate_transfer_failures_total"
	namePortsClient     = "ftpgate_ports_in_use_max_client"
	nameBackendUp       = "ftpgate_backend_up"
	nameBackendConnect  = "ftpgate_backend_connect_seconds"
	nameDraining        = "ftpgate_draining"
	nameRelays          = "ftpgate_relays"
	nameHandshakes      = "ftpgate_tls_handshakes_total"
	nameCertificate     = "ftpgate_tls_certificate_not_after_timestamp_seconds"
	nameBackendTLS      = "ftpgate_backend_offers_tls"
)

// Outcomes of a pinhole, as metric labels.
const (
	outcomeUsed     = "used"     // a connection came through it
	outcomeExpired  = "expired"  // nobody dialled in time
	outcomeReplaced = "replaced" // the next set-up came first
	outcomeClosed   = "closed"   // its command or its session ended first
	outcomeRefused  = "refused"  // it could not be opened
)

var pinholeOutcomes = []string{outcomeUsed, outcomeExpired, outcomeReplaced, outcomeClosed, outcomeRefused}

// pinholeModes are the values of the label mode.
var pinholeModes = []alg.Mode{alg.ModePASV, alg.ModeEPSV, alg.ModePORT, alg.ModeEPRT, alg.ModeAUTH}

// Metrics are what Prometheus sees of sessions. Every label value comes from a
// closed set, or from the configuration.
type Metrics struct {
	sessions        *prometheus.GaugeVec
	sessionsTotal   *prometheus.CounterVec
	sessionDuration *prometheus.HistogramVec
	sessionsLimit   prometheus.Gauge
	commands        *prometheus.CounterVec
	replies         *prometheus.CounterVec
	rewrites        *prometheus.CounterVec
	refusals        *prometheus.CounterVec
	logins          *prometheus.CounterVec
	pinholes        *prometheus.GaugeVec
	pinholesTotal   *prometheus.CounterVec
	pinholeOpen     *prometheus.HistogramVec
	portsInUse      *prometheus.GaugeVec
	portsExhausted  *prometheus.CounterVec
	transfers       *prometheus.CounterVec
	transfersActive *prometheus.GaugeVec
	transferTime    *prometheus.HistogramVec
	transferBytes   *prometheus.CounterVec
	failures        *prometheus.CounterVec
	portsClient     *prometheus.GaugeVec
	backendUp       *prometheus.GaugeVec
	backendConnect  *prometheus.HistogramVec
	draining        prometheus.Gauge
	relays          *prometheus.GaugeVec
	handshakes      *prometheus.CounterVec
	certificate     *prometheus.GaugeVec
	backendTLS      *prometheus.GaugeVec
}

var (
	quickBuckets = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	slowBuckets  = []float64{.01, .05, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 14400}
)

// NewMetrics returns the metrics, registered with r.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		sessions:        gauge(nameSessions, "Control connections through the gateway.", "service"),
		sessionsTotal:   counter(nameSessionsTotal, "Control connections that ended, by how.", "service", "result"),
		sessionDuration: histogram(nameSessionDuration, "How long control connections lasted.", slowBuckets, "service"),
		sessionsLimit:   prometheus.NewGauge(prometheus.GaugeOpts{Name: nameSessionsLimit, Help: "How many control connections there can be at once."}),
		commands:        counter(nameCommands, "Commands of clients.", "service", "command"),
		replies:         counter(nameReplies, "Replies of servers, by class.", "service", "class"),
		rewrites:        counter(nameRewrites, "Lines that the gateway changed.", "service", "kind"),
		refusals:        counter(nameRefusals, "Connections and commands that the gateway refused.", "service", "reason"),
		logins:          counter(nameLogins, "Logins.", "service", "result"),
		pinholes:        gauge(namePinholes, "Pinholes that sessions hold.", "service", "mode"),
		pinholesTotal:   counter(namePinholesTotal, "Pinholes, by what became of them.", "service", "mode", "outcome"),
		pinholeOpen:     histogram(namePinholeOpen, "How long pinholes stood open before they were used or closed.", quickBuckets, "service"),
		portsInUse:      gauge(namePortsInUse, "Ports that pinholes hold.", "service"),
		portsExhausted:  counter(namePortsExhausted, "Data connections refused because no port was free.", "service"),
		transfers:       counter(nameTransfers, "Transfers that ended, as the client sees them.", "service", "direction", "result"),
		transfersActive: gauge(nameTransfersActive, "Data commands that wait for their final reply.", "service", "direction"),
		transferTime:    histogram(nameTransferTime, "From a data command to its final reply.", slowBuckets, "service", "direction"),
		transferBytes:   counter(nameTransferBytes, "Payload that data connections have carried, as it goes. What the kernel carries counts again when it is sent again.", "service", "direction"),
		failures:        counter(nameFailures, "Transfers, and set-ups of transfers, that failed, by cause.", "service", "cause"),
		portsClient:     gauge(namePortsClient, "Ports that the client with the most of them holds.", "service"),
		backendUp:       gauge(nameBackendUp, "Whether the last connection to a backend succeeded.", "service", "backend"),
		backendConnect:  histogram(nameBackendConnect, "How long connecting to a backend took.", quickBuckets, "service"),
		draining:        prometheus.NewGauge(prometheus.GaugeOpts{Name: nameDraining, Help: "Whether new sessions are refused, because the daemon goes down or was told to drain."}),
		relays:          gauge(nameRelays, "Data connections that this process carries, because the kernel cannot.", "service"),
		handshakes:      counter(nameHandshakes, "TLS handshakes.", "service", "connection", "result"),
		certificate:     gauge(nameCertificate, "When the certificate that clients see expires.", "service"),
		backendTLS:      gauge(nameBackendTLS, "1 for a backend that offers TLS which tls.mode = \"refuse\" takes from its clients.", "service", "backend"),
	}
	r.MustRegister(m.sessions, m.sessionsTotal, m.sessionDuration, m.sessionsLimit, m.commands, m.replies, m.rewrites,
		m.refusals, m.logins, m.pinholes, m.pinholesTotal, m.pinholeOpen, m.portsInUse, m.portsExhausted, m.transfers,
		m.transfersActive, m.transferTime, m.backendUp, m.backendConnect, m.draining,
		m.relays, m.handshakes, m.certificate, m.backendTLS, m.transferBytes, m.failures, m.portsClient)
	return m
}

func (m *Metrics) setSessionsLimit(n int) { m.sessionsLimit.Set(float64(n)) }

func (m *Metrics) setDraining(yes bool) { m.draining.Set(number(yes)) }

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// serviceMetrics are those of one service, resolved once: counting is an
// atomic addition. The arrays are indexed by the values of package alg.
type serviceMetrics struct {
	name      string
	all       *Metrics
	sessions  prometheus.Gauge
	duration  prometheus.Observer
	commands  []prometheus.Counter
	replies   [7]prometheus.Counter
	rewrites  []prometheus.Counter
	logins    [3]prometheus.Counter
	active    [4]prometheus.Gauge
	transfers [4]struct {
		done, failed prometheus.Counter
		time         prometheus.Observer
	}
	pinholes  [alg.ModeAUTH + 1]modeMetrics
	open      prometheus.Observer
	ports     prometheus.Gauge
	portsMax  prometheus.Gauge
	bytes     [4]prometheus.Counter
	failures  map[cause.Cause]prometheus.Counter
	exhausted prometheus.Counter
	connect   prometheus.Observer
	relays    prometheus.Gauge
	shaken    map[connection][2]prometheus.Counter // done, failed
}

type modeMetrics struct {
	open     prometheus.Gauge
	outcomes map[string]prometheus.Counter
}

// service returns the metrics of a service. All its series exist from now on,
// so that rates begin at 0.
func (m *Metrics) service(name string) *serviceMetrics {
	s := &serviceMetrics{
		name: name, all: m,
		sessions:  m.sessions.WithLabelValues(name),
		duration:  m.sessionDuration.WithLabelValues(name),
		open:      m.pinholeOpen.WithLabelValues(name),
		ports:     m.portsInUse.WithLabelValues(name),
		portsMax:  m.portsClient.WithLabelValues(name),
		failures:  map[cause.Cause]prometheus.Counter{},
		exhausted: m.portsExhausted.WithLabelValues(name),
		connect:   m.backendConnect.WithLabelValues(name),
		relays:    m.relays.WithLabelValues(name),
		shaken:    map[connection][2]prometheus.Counter{},
	}
	for _, c := range connections {
		s.shaken[c] = [2]prometheus.Counter{m.handshakes.WithLabelValues(name, string(c), "done"), m.handshakes.WithLabelValues(name, string(c), "failed")}
	}
	for _, o := range outcomes {
		m.sessionsTotal.WithLabelValues(name, string(o))
	}
	for r := range refusalTexts {
		m.refusals.WithLabelValues(name, string(r))
	}
	for _, r := range alg.Reasons() {
		m.refusals.WithLabelValues(name, r.String())
	}
	verbs := alg.Verbs()
	s.commands = make([]prometheus.Counter, int(verbs[len(verbs)-1])+1)
	for _, v := range verbs {
		s.commands[v] = m.commands.WithLabelValues(name, v.String())
	}
	for class := 1; class < len(s.replies); class++ {
		s.replies[class] = m.replies.WithLabelValues(name, string(rune('0'+class))+"yz")
	}
	s.rewrites = make([]prometheus.Counter, len(alg.Rewrites())+1)
	for _, r := range alg.Rewrites() {
		s.rewrites[r] = m.rewrites.WithLabelValues(name, r.String())
	}
	s.logins[alg.LoggedIn] = m.logins.WithLabelValues(name, "ok")
	s.logins[alg.LoginFailed] = m.logins.WithLabelValues(name, "failed")
	s.resolveData(name, m)
	return s
}

func (s *serviceMetrics) sessionBegan() { s.sessions.Inc() }

func (s *serviceMetrics) sessionEnded(how outcome, took time.Duration) {
	s.sessions.Dec()
	s.duration.Observe(took.Seconds())
	s.all.sessionsTotal.WithLabelValues(s.name, string(how)).Inc()
}

func (s *serviceMetrics) refused(reason string) {
	s.all.refusals.WithLabelValues(s.name, reason).Inc()
}

func (s *serviceMetrics) pinholeOpened(m alg.Mode) {
	s.pinholes[m].open.Inc()
	if m != alg.ModeAUTH { // it holds no port
		s.ports.Inc()
	}
}

func (s *serviceMetrics) pinholeClosed(m alg.Mode, how string) {
	s.pinholes[m].open.Dec()
	s.pinholes[m].outcomes[how].Inc()
	if m != alg.ModeAUTH {
		s.ports.Dec()
	}
}

func (s *serviceMetrics) pinholeRefused(m alg.Mode, why alg.Reason) {
	s.pinholes[m].outcomes[outcomeRefused].Inc()
	if why == alg.NoPorts {
		s.exhausted.Inc()
	}
}

// pinholeStood observes how long a pinhole stood open.
func (s *serviceMetrics) pinholeStood(after time.Duration) { s.open.Observe(after.Seconds()) }

func (s *serviceMetrics) connected(after time.Duration) { s.connect.Observe(after.Seconds()) }

func (s *serviceMetrics) setBackendUp(at netip.AddrPort, up bool) {
	s.all.backendUp.WithLabelValues(s.name, at.String()).Set(number(up))
}

func (s *serviceMetrics) forgetBackend(at netip.AddrPort) {
	s.all.backendUp.DeleteLabelValues(s.name, at.String())
	s.all.backendTLS.DeleteLabelValues(s.name, at.String())
}
