package main

import (
	"errors"
	"fmt"
	"time"

	"ftpgate/internal/config"
)

// reload reads the configuration again for new sessions. A bad one changes
// nothing, and is reported.
func (d *daemon) reload() {
	err := d.tryReload()
	d.metrics.reloaded(err == nil, time.Now())
	if err != nil {
		d.log.Error("the configuration was not reloaded; the one before stays in force", "error", err)
		return
	}
	d.log.Info("configuration reloaded", "services", len(d.file.Settings.Services))
}

func (d *daemon) tryReload() error {
	file, err := load(d.path, d.stderr)
	if err != nil {
		return err
	}
	if err := needsRestart(d.file, file); err != nil {
		return err
	}
	if err := d.admit(file); err != nil {
		return errors.Join(err, d.admit(d.file))
	}
	if err := d.server.Reload(file.Settings); err != nil {
		return errors.Join(err, d.admit(d.file))
	}
	d.file = file
	d.tuneMemory()
	d.level.Set(file.Log.Level)
	return nil
}

// needsRestart names a key that a running daemon cannot change.
func needsRestart(was, is *config.File) error {
	for _, key := range []struct {
		name    string
		changed bool
	}{
		{"log.format", was.Log.Format != is.Log.Format},
		{"metrics.listen", was.Metrics.Listen != is.Metrics.Listen},
		{"admin.socket", was.Admin.Socket != is.Admin.Socket},
		{"nft.table", was.NFT.Table != is.NFT.Table},
		{"nft.mark", was.NFT.Mark != is.NFT.Mark},
		{"nft.owner", was.NFT.Owner != is.NFT.Owner},
		{"nft.route_mark", was.NFT.RouteMark != is.NFT.RouteMark},
		{"nft.route_table", was.NFT.RouteTable != is.NFT.RouteTable},
	} {
		if key.changed {
			return fmt.Errorf("%s has changed, which only a restart can do", key.name)
		}
	}
	return nil
}
