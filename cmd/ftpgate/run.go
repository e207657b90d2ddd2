package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"syscall"
	"time"

	"ftpgate/internal/config"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy"
	"ftpgate/proxy/audit"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func newRun() *cobra.Command {
	var path string
	c := command("run", "Run the daemon",
		"run serves until SIGTERM or SIGINT, then lets running transfers end (timeouts.drain); a second\n"+
			"signal ends it at once. SIGHUP reads the configuration again, for new sessions.",
		func(c *cobra.Command) error { return run(path, c.ErrOrStderr()) })
	configFlag(c, &path)
	return c
}

// daemon is everything that run holds. What it opens, close gives back.
type daemon struct {
	path    string
	file    *config.File // of the last good load
	stderr  io.Writer
	log     *slog.Logger
	level   slog.LevelVar
	metrics *daemonMetrics
	table   *nft.Table
	flows   *conntrack.Conn
	audit   *audit.Log
	server  *proxy.Server

	started   time.Time
	loaded    atomic.Int64 // when file was, in nanoseconds
	reloads   chan reloadRequest
	goingDown chan struct{} // closed when no reload is taken any more

	admitted   atomic.Bool // the table knows what it must of the configuration
	routed     atomic.Bool // the return route of transparent connections is ours to take down
	routeMark  uint32      // of it; a reload changes neither
	routeTable int
	tableName  string // as little
}

func run(path string, stderr io.Writer) (err error) {
	d := &daemon{path: path, stderr: stderr, started: time.Now(), reloads: make(chan reloadRequest), goingDown: make(chan struct{})}
	if d.file, err = load(path, stderr); err != nil {
		return err
	}
	if err := spell(checkWebConfigs(path, d.file), stderr); err != nil {
		return err
	}
	d.loaded.Store(time.Now().UnixNano())
	d.log = newLogger(d.file, &d.level, stderr)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := d.open(); err != nil {
		return errors.Join(err, d.close())
	}
	return errors.Join(d.serve(signals), d.close())
}

func newLogger(file *config.File, level *slog.LevelVar, w io.Writer) *slog.Logger {
	level.Set(file.Log.Level)
	options := &slog.HandlerOptions{Level: level}
	if file.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// open takes what the daemon needs of the kernel, the table first: without it
// there is no use in listening.
func (d *daemon) open() (err error) {
	d.routeMark, d.routeTable, d.tableName = d.file.NFT.RouteMark, d.file.NFT.RouteTable, d.file.NFT.Table
	if d.audit, err = audit.Open(auditOptions(d.file, d.log)); err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	d.metrics = newDaemonMetrics(registry)
	d.metrics.watchAudit(d.audit)
	table := tableConfig(d.file)
	table.Logger = d.log
	if d.table, err = nft.Open(table); err != nil {
		return err
	}
	d.metrics.watchTable(d.table)
	if d.flows, err = conntrack.Dial(); err != nil {
		return fmt.Errorf("open conntrack: %w", err)
	}
	if err := conntrack.EnableAccounting(); err != nil {
		d.log.Warn("the kernel will not count the bytes of transfers: sysctl -w net.netfilter.nf_conntrack_acct=1", "error", err)
	}
	d.server = proxy.NewServer(proxy.Options{
		Firewall: d.table, Flows: d.flows, Mark: d.file.NFT.Mark,
		Metrics: proxy.NewMetrics(registry), Logger: d.log, Audit: d.audit,
	})
	relay, err := d.server.ListenRelay()
	if err != nil {
		return err
	}
	return d.table.SetRelay(relay...)
}

// serve runs the daemon's tasks until a signal ends them, or one of them fails.
func (d *daemon) serve(signals <-chan os.Signal) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	tasks, ctx := errgroup.WithContext(ctx)
	if err := d.listen(ctx, tasks); err != nil {
		stop()
		return errors.Join(err, tasks.Wait())
	}
	d.announce()
	err := d.wait(ctx, signals)
	close(d.goingDown)
	notify("STOPPING=1")
	d.drain(signals)
	stop()
	return errors.Join(err, tasks.Wait())
}

// listen starts all tasks; the services come last, when everything is there.
func (d *daemon) listen(ctx context.Context, tasks *errgroup.Group) error {
	events, err := d.listenConntrack()
	if err != nil {
		return err
	}
	tasks.Go(func() error { return d.followConntrack(ctx, events) })
	tasks.Go(func() error { return d.table.Watch(ctx) })
	tasks.Go(func() error { return d.watchAddresses(ctx) })
	if err := d.serveMetrics(ctx, tasks); err != nil {
		return err
	}
	if err := d.serveStatus(ctx, tasks); err != nil {
		return err
	}
	if err := d.serveControl(ctx, tasks); err != nil {
		return err
	}
	tasks.Go(func() error { return d.server.Run(ctx) })
	if err := d.routeHome(d.file); err != nil { // before anybody is served
		return err
	}
	if err := d.server.Reload(d.file.Settings); err != nil {
		return err
	}
	if err := d.admit(d.file); err != nil { // redirected clients come only when somebody listens
		return err
	}
	d.admitted.Store(true)
	tasks.Go(func() error { return d.keepRoute(ctx) })
	tasks.Go(d.watchHost(ctx))
	d.metrics.reloaded(true, time.Now())
	return nil
}

// announce says what is served. What of the host stands in the way, watchHost says.
func (d *daemon) announce() {
	d.tuneMemory()
	for _, svc := range d.file.Settings.Services {
		d.log.Info("serving", "service", svc.Name, "listen", fmt.Sprint(svc.Listen), "backends", fmt.Sprint(svc.Backends))
	}
	d.log.Info("ready", "version", version, "table", d.file.NFT.Table, "owned", d.table.Owned(),
		"firewall_needs", acceptRule(d.file.NFT.Mark))
	notify("READY=1")
}

// relayGC is how much garbage, in percent of what lives, a daemon that relays
// puts up with: a transfer keeps large buffers, and makes none while it runs.
const relayGC = 25

// tuneMemory keeps relayed transfers small, unless GOGC says otherwise.
func (d *daemon) tuneMemory() {
	relays := slices.ContainsFunc(d.file.Settings.Services, func(svc proxy.Service) bool { return svc.Relays() })
	if relays && os.Getenv("GOGC") == "" {
		debug.SetGCPercent(relayGC)
	}
}

// wait handles signals and reloads until a signal, or a task's failure, ends the
// daemon.
func (d *daemon) wait(ctx context.Context, signals <-chan os.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				d.log.Info("going down; running transfers may end", "signal", sig.String())
				return nil
			}
			_ = d.reload(unknownUID) // it has said what was wrong
		case r := <-d.reloads:
			r.answer <- d.reload(r.uid)
		}
	}
}

// drain ends the sessions. A second signal does not wait for transfers: their
// control connections are cut, the kernel goes on with their data.
func (d *daemon) drain(signals <-chan os.Signal) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.server.Drain()
	}()
	for {
		select {
		case <-done:
			return
		case sig := <-signals:
			if sig != syscall.SIGHUP {
				d.log.Warn("ended by a second signal; sessions are cut", "signal", sig.String())
				d.server.Abandon()
				return
			}
		}
	}
}

// close gives back what open took. The table stays, empty: to delete it would
// cut the transfers that still run in the kernel.
func (d *daemon) close() error {
	var errs []error
	if d.flows != nil {
		errs = append(errs, d.flows.Close())
	}
	if d.routed.Load() {
		errs = append(errs, nft.RemoveReturnRoute(d.routeMark, d.routeTable))
	}
	if d.table != nil {
		errs = append(errs, d.table.Release())
	}
	errs = append(errs, d.audit.Close())
	return errors.Join(errs...)
}
