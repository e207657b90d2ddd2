package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ftpgate/proxy/admin"
	"ftpgate/proxy/api"

	"golang.org/x/sync/errgroup"
)

// noon is when everything in these tests happens.
var noon = time.Date(2026, 3, 14, 12, 0, 0, 0, time.UTC)

// recorded is a daemon that always says the same, and notes what it is asked.
type recorded struct {
	status   api.Status
	sessions []api.Session
	pinholes []api.Pinhole
	failures []api.Explanation
	traced   []api.Traced
	err      error // of what acts
	asked    chan string
}

// serve lets r answer on a socket, as the daemon does.
func serve(t *testing.T, r *recorded) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "admin.sock")
	l, err := listenControl(socket, adminGroup, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var tasks errgroup.Group
	controlServer(admin.NewControl(admin.Options{Reader: r}, r)).serve(ctx, &tasks, l)
	stopped := now
	now = func() time.Time { return noon }
	t.Cleanup(func() {
		now = stopped
		stop()
		if err := tasks.Wait(); err != nil {
			t.Error(err)
		}
	})
	return socket
}

func (r *recorded) Status() api.Status       { return r.status }
func (r *recorded) Pinholes() []api.Pinhole  { return r.pinholes }
func (r *recorded) Throughput() []api.Sample { return nil }

func (r *recorded) Sessions(f api.Filter) []api.Session {
	return slices.DeleteFunc(slices.Clone(r.sessions), func(s api.Session) bool { return !selects(f, s.ID, s.Client, s.User, s.Service) })
}

func (r *recorded) Failures(f api.Filter) []api.Failure {
	var list []api.Failure
	for _, e := range r.failures {
		if !e.Pending && selects(f, e.Session, e.Client, e.User, e.Service) {
			list = append(list, e.Failure)
		}
	}
	return list
}

func selects(f api.Filter, id uint64, client, user, service string) bool {
	return (f.ID == 0 || f.ID == id) && (f.Client == "" || strings.HasPrefix(client, f.Client+":")) &&
		(f.User == "" || f.User == user) && (f.Service == "" || f.Service == service)
}

func (r *recorded) Explain(id string) (api.Explanation, error) {
	return r.explain(id, func(e api.Explanation) bool { return e.ID == id || strconv.FormatUint(e.Session, 10) == id })
}

func (r *recorded) ExplainClient(client netip.Addr) (api.Explanation, error) {
	return r.explain(client.String(), func(e api.Explanation) bool { return strings.HasPrefix(e.Client, client.String()+":") })
}

func (r *recorded) explain(what string, is func(api.Explanation) bool) (api.Explanation, error) {
	if i := slices.IndexFunc(r.failures, is); i >= 0 {
		return r.failures[i], nil
	}
	return api.Explanation{}, fmt.Errorf("%s: %w: no failed transfer of this id is kept, and none runs", what, api.ErrUnknown)
}

// note tells the test what was asked, and by whom.
func (r *recorded) note(ctx context.Context, what string) {
	if r.asked != nil {
		r.asked <- fmt.Sprintf("%s by %d", what, admin.UID(ctx))
	}
}

func (r *recorded) Kill(ctx context.Context, f api.Filter) (api.Ended, error) {
	r.note(ctx, fmt.Sprintf("kill %+v", f))
	var ended api.Ended
	for _, s := range r.Sessions(f) {
		ended.Sessions = append(ended.Sessions, s.ID)
	}
	return ended, r.err
}

func (r *recorded) Drain(ctx context.Context, on bool) (api.Drained, error) {
	r.note(ctx, fmt.Sprintf("drain %v", on))
	return api.Drained{Draining: on, Sessions: len(r.sessions)}, r.err
}

func (r *recorded) Reload(ctx context.Context) error {
	r.note(ctx, "reload")
	return r.err
}

func (r *recorded) CloseAll(ctx context.Context) (api.Closed, error) {
	r.note(ctx, "close-all")
	return api.Closed{Closed: len(r.pinholes)}, r.err
}

func (r *recorded) Trace(ctx context.Context, client netip.Prefix, f func(api.Traced) error) error {
	r.note(ctx, "trace "+client.String())
	for _, t := range r.traced {
		if err := f(t); err != nil {
			return err
		}
	}
	return r.err
}
