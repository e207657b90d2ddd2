package main

import (
	"errors"
	"fmt"
	"time"

	"ftpgate/internal/config"
)

// reloadRequest is a reload that somebody waits for.
type reloadRequest struct {
	uid    int
	answer chan<- error // takes one
}

// reload reads the configuration again for new sessions, and opens the audit
// files again. A bad configuration changes nothing else, and is reported. It is
// of the goroutine of wait alone.
func (d *daemon) reload(uid int) error {
	notify("RELOADING=1")
	defer notify("READY=1")
	err := d.tryReload()
	d.metrics.reloaded(err == nil, time.Now())
	if err != nil {
		// The log that was renamed is to be let go whatever the configuration says.
		err = errors.Join(err, d.audit.Reopen())
		d.log.Error("the configuration was not reloaded; the one before stays in force", "uid", uid, "error", spell(err, d.stderr))
	} else {
		d.loaded.Store(time.Now().UnixNano())
		d.log.Info("configuration reloaded", "uid", uid, "services", len(d.file.Settings.Services))
	}
	d.record(uid, "reload", d.path, err)
	return err
}

func (d *daemon) tryReload() error {
	file, err := read(d.path)
	if err != nil {
		return err
	}
	if err := checkWebConfigs(d.path, file); err != nil {
		return err
	}
	if err := needsRestart(d.file, file); err != nil {
		return err
	}
	if err := d.admit(file); err != nil {
		return errors.Join(err, d.admit(d.file))
	}
	if err := d.audit.Reconfigure(auditOptions(file, d.log)); err != nil {
		return errors.Join(err, d.admit(d.file))
	}
	if err := d.server.Reload(file.Settings); err != nil {
		return errors.Join(err, d.audit.Reconfigure(auditOptions(d.file, d.log)), d.admit(d.file))
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
		{"metrics.web_config", was.Metrics.WebConfig != is.Metrics.WebConfig},
		{"admin.listen", was.Admin.Listen != is.Admin.Listen},
		{"admin.web_config", was.Admin.WebConfig != is.Admin.WebConfig},
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
