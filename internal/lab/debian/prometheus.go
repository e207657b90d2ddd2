package debian

import "path/filepath"

// Prometheus scrapes and answers queries; promtool comes with it. It is apart, as one test needs it and it is large.
var Prometheus = Set{{"prometheus"}}

// PrometheusDir returns the folder with the unpacked Prometheus.
func PrometheusDir() (string, error) {
	dir, err := CacheDir()
	return filepath.Join(filepath.Dir(dir), "prometheus"), err
}
