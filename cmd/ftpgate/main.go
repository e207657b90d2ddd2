// Command ftpgate is an FTP-aware gateway for a Linux NAT boundary. See
// ftpgate help, and the README.
//
// This package wires: it alone reads flags, files, the environment and
// signals. What the daemon does is in the packages proxy, alg and nft.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Exit statuses.
const (
	exitDone   = 0
	exitFailed = 1 // it did not work, or there are findings
	exitUsage  = 2 // the command was used in a way that it does not know
)

func main() { os.Exit(execute(os.Args[1:], os.Stdout, os.Stderr)) }

// failure marks what went wrong in a command's own work, as against its use.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

// usage marks a command line that a command does not take.
type usage struct{ error }

func usagef(format string, args ...any) error { return usage{fmt.Errorf(format, args...)} }

// execute runs one command line and returns the exit status.
func execute(args []string, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	var failed failure
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &failed):
		if text := failed.Error(); text != "" {
			for line := range strings.Lines(text) {
				fmt.Fprintf(stderr, "ftpgate: %s\n", strings.TrimSuffix(line, "\n"))
			}
		}
		return exitFailed
	}
	fmt.Fprintf(stderr, "ftpgate: %v: see ftpgate help\n", err)
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "ftpgate",
		Short: "An FTP-aware gateway for a Linux NAT boundary",
		Long: "ftpgate stands between FTP clients and servers on the control connection, rewrites the\n" +
			"addresses in it, and opens one narrow pinhole in nftables for each data connection.",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newRun(), newCheck(), newDoctor(), newDemo(), newReplay(),
		newStatus(), newSessions(), newPinholes(), newFailures(), newExplain(), newTrace(),
		newKill(), newDrain(), newUndrain(), newReload(), newCloseAll(), newVersion())
	return root
}

// command returns a cobra command without arguments. Its errors are failures,
// but for those of usagef.
func command(use, short, long string, run func(c *cobra.Command) error) *cobra.Command {
	return commandArgs(use, short, long, cobra.NoArgs, func(c *cobra.Command, _ []string) error { return run(c) })
}

// commandArgs is command for one with arguments.
func commandArgs(use, short, long string, args cobra.PositionalArgs, run cobra.PositionalArgs) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Long: long, Args: args,
		RunE: func(c *cobra.Command, args []string) error {
			err := run(c, args)
			var wrong usage
			if err == nil || errors.As(err, &wrong) {
				return err
			}
			return failure{err}
		},
	}
}

// defaultConfig is where an installed daemon has its configuration.
const defaultConfig = "/etc/ftpgate/ftpgate.toml"

func configFlag(c *cobra.Command, path *string) {
	c.Flags().StringVarP(path, "config", "c", defaultConfig, "configuration `FILE`")
}
