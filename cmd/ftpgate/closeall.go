package main

import (
	"errors"
	"fmt"

	"ftpgate/nft"

	"github.com/spf13/cobra"
)

const defaultSocket = "/run/ftpgate/admin.sock"

func newCloseAll() *cobra.Command {
	var socket, table string
	c := command("close-all", "Emergency: close every pinhole, with or without a daemon",
		"close-all closes every pinhole at once. Transfers that have begun go on; sessions go on too, and\n"+
			"their next transfers set up new ones: stop the daemon first if none may come.",
		func(c *cobra.Command) error {
			n, err := closeAll(socket, table)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "closed %s\n", counted(n, "pinhole"))
			return err
		})
	c.Flags().StringVar(&socket, "socket", defaultSocket, "admin.socket of the daemon, a `PATH`")
	c.Flags().StringVar(&table, "table", nft.DefaultName, "nft.table of a daemon that is gone, a `NAME`")
	return c
}

// closeAll asks the daemon: it alone may write to a table that it owns. Where
// none answers, what a dead one left is closed here.
func closeAll(socket, table string) (int, error) {
	var answer closedAnswer
	err := askDaemon(socket, "close-all", &answer)
	if !errors.Is(err, errNoDaemon) {
		return answer.Closed, err
	}
	n, err := nft.CloseOrphans(table)
	var owned *nft.OwnedError
	if errors.As(err, &owned) {
		return 0, fmt.Errorf("no daemon answers at %s, but %w (name its admin.socket with --socket)", socket, err)
	}
	if errors.Is(err, nft.ErrNoTable) {
		return 0, fmt.Errorf("no daemon answers at %s, and %w: name them with --socket and --table if they are others", socket, err)
	}
	return n, err
}
