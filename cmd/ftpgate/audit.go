package main

import (
	"log/slog"
	"strings"
	"time"

	"ftpgate/internal/config"
	"ftpgate/proxy/audit"
)

// auditOptions is what of a configuration the audit log needs.
func auditOptions(file *config.File, log *slog.Logger) audit.Options {
	return audit.Options{JSON: file.Audit.JSON, Xferlog: file.Audit.Xferlog, Logger: log}
}

// unknownUID is that of who sends a signal.
const unknownUID = -1

// record writes down what was done to the daemon, and by whom.
func (d *daemon) record(uid int, action, detail string, err error) {
	e := audit.Admin{Time: time.Now(), UID: uid, Action: action, Detail: detail}
	if err != nil {
		e.Error = strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	d.audit.Write(e)
}
