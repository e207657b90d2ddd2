package main

import (
	"context"
	"errors"
	"fmt"
	"ftpgate/proxy"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/sync/errgroup"
)

// serveMetrics answers /metrics, /healthz and /readyz.
func (d *daemon) serveMetrics(ctx context.Context, tasks *errgroup.Group) error {
	at := d.file.Metrics.Listen
	if !at.IsValid() {
		return nil
	}
	l, err := net.Listen("tcp", at.String())
	if err != nil {
		return fmt.Errorf("metrics.listen: %w: write another address, or \"\" for none", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(d.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", d.readyz)
	serveHTTP(ctx, tasks, l, mux)
	return nil
}

// readyz is 200 when sessions can be served and transfers can pass, else 503
// with the reasons in the body.
func (d *daemon) readyz(w http.ResponseWriter, _ *http.Request) {
	why := append(d.server.Ready(), notForwarding(d.server.Settings())...)
	if err := d.table.Intact(); err != nil {
		why = append(why, err)
	}
	if len(why) == 0 && !d.admitted.Load() {
		why = append(why, proxy.ErrStarting)
	}
	if len(why) == 0 {
		fmt.Fprintln(w, "ready")
		return
	}
	w.WriteHeader(http.StatusServiceUnavailable)
	for _, err := range why {
		fmt.Fprintln(w, err)
	}
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, tasks *errgroup.Group, l net.Listener, h http.Handler) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	tasks.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	tasks.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
}
