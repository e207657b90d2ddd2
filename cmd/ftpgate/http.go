package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"ftpgate/proxy/admin"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/exporter-toolkit/web"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

// How long who uses a listener may take.
const (
	headerTimeout = 10 * time.Second // to ask
	answerTimeout = time.Minute      // to take the answer, on TCP
	idleTimeout   = 2 * time.Minute  // until the next request
)

// maxConnections is how many a TCP listener has at once: strangers who hold them
// shall not take the descriptors of sessions. Who comes then waits its turn.
const maxConnections = 100

// serveMetrics answers /metrics, /healthz and /readyz.
func (d *daemon) serveMetrics(ctx context.Context, tasks *errgroup.Group) error {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", d.readyz)
	m := d.file.Metrics
	return d.serveWeb(ctx, tasks, "metrics", m.Listen, m.WebConfig, mux)
}

// serveStatus answers the status page and the API that changes nothing.
func (d *daemon) serveStatus(ctx context.Context, tasks *errgroup.Group) error {
	a := d.file.Admin
	names, err := certificateNames(a.WebConfig)
	if err != nil {
		return fmt.Errorf("admin.web_config: %w", err)
	}
	return d.serveWeb(ctx, tasks, "admin", a.Listen, a.WebConfig, admin.New(admin.Options{Reader: &gateway{d}, Hosts: names}))
}

// readyz is 200 when sessions can be served and transfers can pass, else 503
// with the reasons in the body.
func (d *daemon) readyz(w http.ResponseWriter, _ *http.Request) {
	why := d.notReady()
	if len(why) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, err := range why {
		fmt.Fprintln(w, err)
	}
}

// serveWeb serves on an address of the table of the configuration, if it has one.
func (d *daemon) serveWeb(ctx context.Context, tasks *errgroup.Group, table string, at netip.AddrPort, config string, h http.Handler) error {
	if !at.IsValid() {
		return nil
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return fmt.Errorf("%s.listen: %w: write another address, or \"\" for none", table, err)
	}
	l = netutil.LimitListener(l, maxConnections)
	webServer{
		Server: &http.Server{
			Handler: h, ReadHeaderTimeout: headerTimeout, ReadTimeout: answerTimeout, WriteTimeout: answerTimeout, IdleTimeout: idleTimeout,
			ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelDebug), // strangers' handshakes
		},
		config: config, log: d.log.With("listener", table),
	}.serve(ctx, tasks, l)
	return nil
}

// webServer serves HTTP on one listener; with a config for exporter-toolkit, as
// that says.
type webServer struct {
	*http.Server
	config string
	log    *slog.Logger // of exporter-toolkit
}

// serve serves until ctx ends.
func (s webServer) serve(ctx context.Context, tasks *errgroup.Group, l net.Listener) {
	tasks.Go(func() error {
		var err error
		if s.config == "" {
			err = s.Serve(l)
		} else {
			err = web.Serve(l, s.Server, &web.FlagConfig{WebConfigFile: &s.config}, s.log)
		}
		if !errors.Is(err, http.ErrServerClosed) {
			return errors.Join(err, l.Close())
		}
		return nil
	})
	tasks.Go(func() error {
		<-ctx.Done()
		return s.Close()
	})
}
