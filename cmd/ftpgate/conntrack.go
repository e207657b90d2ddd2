package main

import (
	"context"
	"fmt"
	"time"

	"ftpgate/nft/conntrack"
)

// lingers is how long Linux remembers a connection in TIME_WAIT.
const lingers = time.Minute

// listenConntrack subscribes to the events of our flows. Entries of finished
// transfers are removed, or they would fill the table for two minutes each; those
// that a server still remembers stay as long as it does.
func (d *daemon) listenConntrack() (*conntrack.Listener, error) {
	l, err := conntrack.Listen(conntrack.ListenConfig{
		Mark: d.file.NFT.Mark, Reap: true, Linger: lingers, Brief: true,
		Swept: d.server.Swept,
		Resync: func(flows []conntrack.Flow) {
			d.server.Swept(flows)
			d.log.Warn("conntrack events were lost; the state of all transfers was read again", "flows", len(flows))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("follow conntrack: %w", err)
	}
	d.metrics.watchConntrack(l)
	return l, nil
}

// followConntrack tells the server of connections that pinholes have admitted.
// Without events transfers still work, so it tries again rather than give up.
func (d *daemon) followConntrack(ctx context.Context, l *conntrack.Listener) error {
	for {
		err := l.Run(ctx, func(e conntrack.Event) {
			if e.Type == conntrack.New {
				d.server.Connected(e.Flow)
			}
		})
		for ctx.Err() == nil {
			d.log.Error("conntrack events have stopped; trying again", "error", err)
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			if l, err = d.listenConntrack(); err == nil {
				break
			}
		}
		if ctx.Err() != nil {
			return nil
		}
	}
}
