package proxy

import (
	"net/netip"
	"time"
)

// connection is one of the four that a session can have, as a metric label.
type connection string

const (
	clientControl  connection = "client_control"
	clientData     connection = "client_data"
	backendControl connection = "backend_control"
	backendData    connection = "backend_data"
)

var connections = []connection{clientControl, clientData, backendControl, backendData}

// shook counts a TLS handshake.
func (s *serviceMetrics) shook(c connection, err error) {
	if err != nil {
		s.shaken[c][1].Inc()
		return
	}
	s.shaken[c][0].Inc()
}

// setCertificate shows when the certificate of a service expires; zero: it has none.
func (s *serviceMetrics) setCertificate(expires time.Time) {
	if expires.IsZero() {
		s.all.certificate.DeleteLabelValues(s.name)
		return
	}
	s.all.certificate.WithLabelValues(s.name).Set(float64(expires.Unix()))
}

// offersTLS notes that clients lose the TLS of a backend here.
func (s *serviceMetrics) offersTLS(at netip.AddrPort) {
	s.all.backendTLS.WithLabelValues(s.name, at.String()).Set(1)
}
