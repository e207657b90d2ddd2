package main

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"ftpgate/proxy"
	"ftpgate/proxy/admin"
	"ftpgate/proxy/api"
)

// gateway is the daemon as proxy/admin shows it and acts on it.
type gateway struct{ *daemon }

var (
	_ admin.Reader = (*gateway)(nil)
	_ admin.Actor  = (*gateway)(nil)
)

func (g *gateway) Sessions(f api.Filter) []api.Session        { return g.server.Sessions(f) }
func (g *gateway) Pinholes() []api.Pinhole                    { return g.server.Pinholes() }
func (g *gateway) Failures(f api.Filter) []api.Failure        { return g.server.Failures(f) }
func (g *gateway) Explain(id string) (api.Explanation, error) { return g.server.Explain(id) }
func (g *gateway) Throughput() []api.Sample                   { return g.server.Throughput() }
func (g *gateway) ExplainClient(client netip.Addr) (api.Explanation, error) {
	return g.server.ExplainClient(client)
}

// Status is the daemon as a whole.
func (g *gateway) Status() api.Status {
	why := g.notReady()
	st := api.Status{
		Version: version, Now: time.Now(), Started: g.started,
		Config: g.absolute(), ConfigLoaded: time.Unix(0, g.loaded.Load()),
		Table: g.tableName, TableOwned: g.table.Owned(),
		Draining: g.server.Draining(), Ready: len(why) == 0,
		SessionsLimit: g.server.SessionsLimit(), Relays: g.server.Relays(),
		Failures: g.server.FailureCount(), Services: g.server.Services(),
	}
	for _, err := range why {
		st.NotReady = append(st.NotReady, err.Error())
	}
	for _, s := range st.Services {
		st.Sessions += s.Sessions
		st.Transfers += s.Transfers
		st.Pinholes += s.Pinholes
	}
	return st
}

// absolute is the path of the configuration, wherever who asks may stand.
func (g *gateway) absolute() string {
	if path, err := filepath.Abs(g.path); err == nil {
		return path
	}
	return g.path
}

// Kill ends sessions.
func (g *gateway) Kill(ctx context.Context, f api.Filter) (api.Ended, error) {
	ids, err := g.server.Kill(f)
	g.acted(ctx, "kill", selected(f)+": "+counted(len(ids), "session"), err)
	return api.Ended{Sessions: ids}, err
}

// selected is a filter in words.
func selected(f api.Filter) string {
	var parts []string
	if f.ID != 0 {
		parts = append(parts, fmt.Sprintf("id %d", f.ID))
	}
	for _, p := range []struct{ name, value string }{{"client", f.Client}, {"user", f.User}, {"service", f.Service}} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	return strings.Join(parts, ", ")
}

// Drain refuses new sessions, or lets them in again.
func (g *gateway) Drain(ctx context.Context, on bool) (api.Drained, error) {
	action := map[bool]string{true: "drain", false: "undrain"}[on]
	n := g.server.SetDraining(on)
	g.acted(ctx, action, counted(n, "session"), nil)
	return api.Drained{Draining: g.server.Draining(), Sessions: n}, nil
}

// Reload has the daemon read its configuration again.
func (g *gateway) Reload(ctx context.Context) error {
	answer := make(chan error, 1)
	select {
	case g.reloads <- reloadRequest{uid: admin.UID(ctx), answer: answer}:
		return <-answer
	case <-g.goingDown:
		return fmt.Errorf("%w: the daemon is going down", api.ErrNotNow)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// CloseAll closes every pinhole: the kernel's first, and whatever our books say.
func (g *gateway) CloseAll(ctx context.Context) (api.Closed, error) {
	n, err := g.table.CloseAll()
	g.server.CloseAll()
	g.acted(ctx, "close-all", counted(n, "pinhole"), err)
	return api.Closed{Closed: n}, err
}

// Trace shows what the sessions of clients say, until ctx ends or f fails.
func (g *gateway) Trace(ctx context.Context, client netip.Prefix, f func(api.Traced) error) error {
	g.log.Info("sessions are traced", "uid", admin.UID(ctx), "client", client.String())
	defer g.log.Info("sessions are not traced any more", "uid", admin.UID(ctx), "client", client.String())
	return g.server.Trace(ctx, client, f)
}

// acted writes down what was done, and by whom, and tells the log of it.
func (g *gateway) acted(ctx context.Context, action, detail string, err error) {
	uid := admin.UID(ctx)
	g.record(uid, action, detail, err)
	log := g.log.With("action", action, "detail", detail, "uid", uid)
	if err != nil {
		log.Error("an administrator's action went wrong", "error", err)
		return
	}
	log.Info("an administrator acted")
}

// notReady says why sessions cannot be served or transfers not pass, or nil.
func (d *daemon) notReady() []error {
	why := append(d.server.Ready(), notForwarding(d.server.Settings())...)
	if err := d.table.Intact(); err != nil {
		why = append(why, err)
	}
	if len(why) == 0 && !d.admitted.Load() {
		why = append(why, proxy.ErrStarting)
	}
	return why
}
