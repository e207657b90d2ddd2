package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"ftpgate/internal/show"
	"ftpgate/proxy/api"

	"github.com/spf13/cobra"
)

func newKill() *cobra.Command {
	var a client
	var f filter
	c := commandArgs("kill [ID]", "End sessions: one, or those of a client, a user or a service",
		"kill ends sessions at once and names them. Flags add up: --user bob --service files ends those of bob at\n"+
			"files. What they transfer ends with them, also where the kernel carries it. Its exit status is 1 if there\n"+
			"was no such session.",
		cobra.MaximumNArgs(1), func(c *cobra.Command, args []string) error {
			query, err := f.query()
			if err != nil {
				return err
			}
			if len(args) == 1 {
				if n, err := strconv.ParseUint(args[0], 10, 64); err != nil || n == 0 {
					return usagef("%q is not the number of a session (ftpgate sessions shows them)", args[0])
				}
				query.Set("id", args[0])
			}
			if len(query) == 0 {
				return usagef("kill needs the ID of a session, --client, --user or --service")
			}
			return kill(c, &a, query)
		})
	a.flags(c)
	f.flags(c)
	return c
}

func kill(c *cobra.Command, a *client, query url.Values) error {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	text, err := a.answer(ctx, http.MethodPost, "/kill", query)
	if err != nil {
		return err
	}
	var ended api.Ended
	if err := a.decode(text, &ended); err != nil {
		return err
	}
	if a.json {
		err = writeJSON(c.OutOrStdout(), text)
	} else if len(ended.Sessions) > 0 {
		_, err = fmt.Fprintf(c.OutOrStdout(), "ended %s: %s\n", counted(len(ended.Sessions), "session"), joined(ended.Sessions))
	}
	if err == nil && len(ended.Sessions) == 0 {
		err = errors.New("no session is like that: nothing was ended")
	}
	return err
}

func joined(ids []uint64) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.FormatUint(id, 10)
	}
	return strings.Join(words, ", ")
}

func newDrain() *cobra.Command {
	return acting("drain", "Refuse new sessions; those that run go on",
		"drain makes the daemon refuse new sessions and /readyz fail, so that clients go elsewhere. It goes on\n"+
			"running; ftpgate undrain lets sessions in again.", drained)
}

func newUndrain() *cobra.Command {
	return acting("undrain", "Let new sessions in again", "undrain ends what ftpgate drain began.", drained)
}

func drained(s show.Screen, d api.Drained) error {
	format := "new sessions are let in; there are %s\n"
	if d.Draining {
		format = "draining: new sessions are refused; %s left (ftpgate undrain lets new ones in)\n"
	}
	_, err := fmt.Fprintf(s.Out, format, counted(d.Sessions, "session"))
	return err
}

func newReload() *cobra.Command {
	return acting("reload", "Read the configuration again, for new sessions",
		"reload does what SIGHUP does, and says what came of it: a bad configuration changes nothing, and every\n"+
			"error in it is printed.",
		func(s show.Screen, _ struct{}) error {
			_, err := fmt.Fprintln(s.Out, "the configuration was reloaded")
			return err
		})
}

// acting returns a command that has the daemon do something of the same name.
func acting[T any](name, short, long string, show func(show.Screen, T) error) *cobra.Command {
	var a client
	c := command(name, short, long, func(c *cobra.Command) error {
		return ask(c, &a, http.MethodPost, "/"+name, nil, show)
	})
	a.flags(c)
	return c
}
