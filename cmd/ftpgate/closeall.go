package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"ftpgate/internal/show"
	"ftpgate/nft"
	"ftpgate/proxy/api"

	"github.com/spf13/cobra"
)

func newCloseAll() *cobra.Command {
	var a client
	var table string
	c := command("close-all", "Emergency: close every pinhole, with or without a daemon",
		"close-all closes every pinhole at once. Transfers that have begun go on; sessions go on too, and\n"+
			"their next transfers set up new ones: stop the daemon first if none may come.",
		func(c *cobra.Command) error {
			err := ask(c, &a, http.MethodPost, "/close-all", nil, closed)
			if !errors.Is(err, errNoDaemon) {
				return err // the daemon alone may write to a table that it owns
			}
			n, err := closeOrphans(a.socket, table)
			if err != nil {
				return err
			}
			answer := api.Closed{Closed: n}
			if a.json {
				return json.NewEncoder(c.OutOrStdout()).Encode(answer)
			}
			return closed(a.screen(c.OutOrStdout()), answer)
		})
	a.flags(c)
	c.Flags().StringVar(&table, "table", nft.DefaultName, "nft.table of a daemon that is gone, a `NAME`")
	return c
}

func closed(s show.Screen, answer api.Closed) error {
	_, err := fmt.Fprintf(s.Out, "closed %s\n", counted(answer.Closed, "pinhole"))
	return err
}

// closeOrphans closes what a daemon left that is dead.
func closeOrphans(socket, table string) (int, error) {
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
