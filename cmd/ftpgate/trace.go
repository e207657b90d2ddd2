package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/signal"
	"syscall"

	"ftpgate/internal/show"
	"ftpgate/proxy/api"

	"github.com/spf13/cobra"
)

func newTrace() *cobra.Command {
	var a client
	var of string
	c := command("trace", "Show what the sessions of a client say, as they say it",
		"trace shows the control connections of one client, or of a network, live until Ctrl-C: C> what the client\n"+
			"says, S> the server, G> the gateway by itself, and after → what the other side got of a line that was\n"+
			"changed. Passwords are never shown.",
		func(c *cobra.Command) error {
			if of == "" {
				return usagef("trace needs --client ADDRESS")
			}
			if _, err := prefix("--client", of); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(c.Context(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			err := follow(ctx, c.OutOrStdout(), &a, url.Values{"client": {of}})
			if ctx.Err() != nil {
				return nil // as asked
			}
			return err
		})
	a.flags(c)
	c.Flags().StringVar(&of, "client", "", "the client, an `ADDRESS` or a prefix")
	return c
}

// follow prints a trace until it ends.
func follow(ctx context.Context, out io.Writer, a *client, query url.Values) error {
	resp, err := a.request(ctx, http.MethodGet, "/trace", query)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for {
		text, err := lines.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("the daemon at %s has ended the trace", a.socket)
		}
		var t struct {
			api.Traced
			api.Problem // the last line, if something went wrong
		}
		if err := a.decode(text, &t); err != nil {
			return err
		}
		switch {
		case t.Error != "":
			return errors.New(show.Printable(t.Error))
		case a.json:
			err = writeJSON(out, text)
		default:
			err = show.Traced(a.screen(out), t.Traced)
		}
		if err != nil {
			return err
		}
	}
}
