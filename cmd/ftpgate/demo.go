package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"ftpgate/internal/demo"
	"ftpgate/internal/lab"

	"github.com/spf13/cobra"
)

func newDemo() *cobra.Command {
	var once, shell bool
	c := command("demo", "Show the whole thing on this machine, in network namespaces",
		"demo builds a client, a gateway and a server as network namespaces, transfers files between them in\n"+
			"every mode, shows each rewritten line and each pinhole, and stays up until Ctrl-C. Nothing of this\n"+
			"host changes. Where users may make user namespaces it needs no root.",
		func(c *cobra.Command) error {
			status, ran, err := lab.Reexec()
			if err != nil {
				return err
			}
			if ran {
				os.Exit(status)
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			return demo.Run(ctx, demo.Options{
				Stay: !once && !shell, Shell: shell,
				Daemon: []string{"/proc/self/exe", "run", "-c"}, Out: c.OutOrStdout(),
			})
		})
	c.Flags().BoolVar(&once, "once", false, "exit after the show, with status 0 only if every checksum matched")
	c.Flags().BoolVar(&shell, "shell", false, "after the show give a shell on the client's host")
	return c
}
