package main

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os/signal"
	"syscall"
	"time"

	"ftpgate/internal/show"
	"ftpgate/proxy/api"

	"github.com/spf13/cobra"
)

func newStatus() *cobra.Command {
	var a client
	c := command("status", "Show the daemon as a whole: is it ready, what is served, how much",
		"status asks the running daemon. Its exit status is 0 if it answers, also when it is not ready:\n"+
			"for a health check ask /readyz of metrics.listen.",
		func(c *cobra.Command) error { return ask(c, &a, http.MethodGet, "/status", nil, show.Status) })
	a.flags(c)
	return c
}

func newSessions() *cobra.Command {
	var a client
	var f filter
	c := command("sessions", "Show who is connected and what they do",
		"sessions shows control connections, those first that transfer most. Without a filter it shows all.",
		func(c *cobra.Command) error {
			query, err := f.query()
			if err != nil {
				return err
			}
			look := func() error { return ask(c, &a, http.MethodGet, "/sessions", query, show.Sessions) }
			if !a.watching {
				return look()
			}
			return repeat(c, watchEvery, look)
		})
	a.flags(c)
	f.flags(c)
	c.Flags().BoolVarP(&a.watching, "watch", "w", false, "show them again every 2 seconds, until Ctrl-C")
	return c
}

func newPinholes() *cobra.Command {
	var a client
	c := command("pinholes", "Show what is open: who may dial what, and how much longer",
		"pinholes shows the data connections that sessions wait for or have.",
		func(c *cobra.Command) error { return ask(c, &a, http.MethodGet, "/pinholes", nil, show.Pinholes) })
	a.flags(c)
	return c
}

func newFailures() *cobra.Command {
	var a client
	var f filter
	c := command("failures", "Show transfers that failed, and why",
		"failures shows the last transfers that failed, the latest first. ftpgate explain ID says more of one.",
		func(c *cobra.Command) error {
			query, err := f.query()
			if err != nil {
				return err
			}
			return ask(c, &a, http.MethodGet, "/failures", query, show.Failures)
		})
	a.flags(c)
	f.flags(c)
	return c
}

// filter are the flags that select sessions.
type filter struct{ client, user, service string }

func (f *filter) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.client, "client", "", "only of this client, an `ADDRESS` or a prefix")
	c.Flags().StringVar(&f.user, "user", "", "only of this user, a `NAME`")
	c.Flags().StringVar(&f.service, "service", "", "only of this service, a `NAME`")
}

// query is the filter as the API takes it.
func (f *filter) query() (url.Values, error) {
	q := url.Values{}
	for _, p := range []struct{ name, value string }{{"client", f.client}, {"user", f.user}, {"service", f.service}} {
		if p.value != "" {
			q.Set(p.name, p.value)
		}
	}
	if f.client == "" {
		return q, nil
	}
	_, err := prefix("--client", f.client)
	return q, err
}

// prefix reads what a flag has of clients.
func prefix(flag, text string) (netip.Prefix, error) {
	if p, err := netip.ParsePrefix(text); err == nil {
		return p, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Prefix{}, usagef("%s %q is neither an address (198.51.100.7) nor a prefix (198.51.100.0/24)", flag, text)
	}
	return netip.PrefixFrom(a, a.BitLen()), nil
}

const watchEvery = 2 * time.Second

// repeat looks again and again until Ctrl-C.
func repeat(c *cobra.Command, every time.Duration, look func() error) error {
	ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c.SetContext(ctx)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := look(); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func newExplain() *cobra.Command {
	var a client
	var of string
	var last bool
	c := commandArgs("explain [ID]", "Say why a transfer failed, and what to do",
		"explain shows what happened to one transfer, the evidence for it, the pinholes of its session and what\n"+
			"was last said. ID is that of a transfer, 42.3, or of a session, 42, for its latest one. With --client\n"+
			"it is the latest that failed of a client, or else the one that runs; with --last alone, of anybody.",
		cobra.MaximumNArgs(1), func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 1 && (of != "" || last):
				return usagef("explain takes an ID or --client, not both")
			case len(args) == 1:
				return ask(c, &a, http.MethodGet, "/explain/"+url.PathEscape(args[0]), nil, show.Explain)
			case of != "":
				if _, err := netip.ParseAddr(of); err != nil {
					return usagef("--client %q is not an address (198.51.100.7)", of)
				}
				return ask(c, &a, http.MethodGet, "/explain", url.Values{"client": {of}}, show.Explain)
			case last:
				return explainLast(c, &a)
			}
			return usagef("explain needs the ID of a transfer (ftpgate failures shows them), --client IP, or --last")
		})
	a.flags(c)
	c.Flags().StringVar(&of, "client", "", "the latest of this client, an `ADDRESS`")
	c.Flags().BoolVar(&last, "last", false, "the latest that failed")
	return c
}

// explainLast explains the latest failure that there is.
func explainLast(c *cobra.Command, a *client) error {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	text, err := a.answer(ctx, http.MethodGet, "/failures", nil)
	if err != nil {
		return err
	}
	var known []api.Failure
	if err := a.decode(text, &known); err != nil {
		return err
	}
	if len(known) == 0 {
		return errors.New("no failed transfers are known")
	}
	return ask(c, a, http.MethodGet, "/explain/"+url.PathEscape(known[0].ID), nil, show.Explain)
}
