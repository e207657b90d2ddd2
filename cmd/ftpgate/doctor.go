package main

import (
	"context"
	"encoding/json"
	"errors"

	"ftpgate/internal/doctor"

	"github.com/spf13/cobra"
)

func newDoctor() *cobra.Command {
	var path string
	var asJSON bool
	c := command("doctor", "Examine this host: what is wrong, why it matters, the command that mends it",
		"doctor examines this host for a configuration: kernel, firewall, addresses, ports and backends. It\n"+
			"changes nothing; each backend is dialled once. Run it as root, or it says what it could not look at.\n"+
			"Status 0: nothing was found, but for notices. 1: something was. 2: wrong use.",
		func(c *cobra.Command) error { return examine(c, path, asJSON) })
	configFlag(c, &path)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func examine(c *cobra.Command, path string, asJSON bool) error {
	file, err := load(path, c.ErrOrStderr())
	if err != nil {
		return err
	}
	report := doctor.Examine(c.Context(), doctor.Options{File: file})
	if asJSON {
		encoder := json.NewEncoder(c.OutOrStdout())
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		err = encoder.Encode(report)
	} else {
		err = report.Write(c.OutOrStdout())
	}
	if err == nil && report.Bad() {
		err = errors.New("") // the report says it all
	}
	return err
}

// watchHost returns the task that repeats the examination while the daemon runs.
// The server has settings by then.
func (d *daemon) watchHost(ctx context.Context) func() error {
	file, features := *d.file, d.table.Features() // what a reload changes of the file, the server has
	watcher := doctor.NewWatcher(d.metrics.registry, d.log)
	return func() error {
		return watcher.Run(ctx, func() doctor.Options {
			file.Settings = d.server.Settings()
			return doctor.Options{File: &file, Features: &features, Reinstalls: d.table.Reinstalls}
		})
	}
}
