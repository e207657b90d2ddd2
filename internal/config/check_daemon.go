package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
)

// checkWeb applies the rules of the two listeners that speak HTTP.
func (r *reader) checkWeb(f *File) {
	metrics, admin := f.Metrics, f.Admin
	r.checkWebConfig("metrics", metrics.Listen)
	r.checkWebConfig("admin", admin.Listen)
	const listen, config = "admin.listen", "admin.web_config"
	if !admin.Listen.IsValid() {
		return
	}
	if admin.WebConfig == "" && !admin.Listen.Addr().IsLoopback() && !r.failed(config) {
		r.report(listen, listen, fmt.Sprintf("%q is not on loopback, and everybody who reaches it would see who transfers what: "+
			"write admin.web_config, a file with a password and a certificate, or an address of loopback", admin.Listen))
	}
	if metrics.Listen.IsValid() && overlap(admin.Listen, metrics.Listen) {
		r.report(listen, listen, fmt.Sprintf("%q is taken by metrics.listen, %q: write an address and port of its own", admin.Listen, metrics.Listen))
	}
	for i, s := range f.Settings.Services {
		for j, l := range s.Listen {
			if l.IsValid() && overlap(admin.Listen, l) {
				r.report(listen, listen, fmt.Sprintf("%q is taken by %s, %q: write an address and port of its own",
					admin.Listen, dot(element(serviceTable, i), element("listen", j)), l))
			}
		}
	}
}

// checkWebConfig: who writes one believes that something is protected.
func (r *reader) checkWebConfig(table string, listen netip.AddrPort) {
	key, at := dot(table, "web_config"), dot(table, "listen")
	if r.given[key] && !listen.IsValid() && !r.failed(key) && !r.failed(at) {
		r.report(key, key, fmt.Sprintf("does nothing without %s: leave it out, or write an address to listen on", at))
	}
}

// checkAudit: two writers of one file would cut each other's lines.
func (r *reader) checkAudit(f *File) {
	const json, xferlog, onError = "audit.json", "audit.xferlog", "audit.on_error"
	a := f.Audit
	if a.JSON != "" && a.Xferlog != "" && filepath.Clean(a.JSON) == filepath.Clean(a.Xferlog) {
		r.report(xferlog, xferlog, fmt.Sprintf("%q is audit.json too: write a file of its own", a.Xferlog))
	}
	if a.Refuse && a.JSON == "" && a.Xferlog == "" && !r.failed(json) && !r.failed(xferlog) {
		r.report(onError, onError, `"refuse" does nothing without audit.json and audit.xferlog: write one of them, or leave it out`)
	}
}
