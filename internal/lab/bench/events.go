package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/bench/profile"
	"ftpgate/internal/lab/bench/stand"
)

// The transfers beside which following them is measured: so many per second, in
// so many sessions.
const (
	eventRate     = 1000
	eventSessions = 64
	eventSeconds  = 10 // for each second of other measures: a profile looks every 10 ms only
)

// follows are the parts of the daemon that know what becomes of transfers, by
// the functions in their stacks: the events of the kernel, the ledger, the audit
// log, and what a session notes of its lines for them.
var follows = []struct{ part, functions string }{
	{"kernel", `conntrack\.\(\*Listener\)\.Run`},
	{"ledger", `proxy\.\(\*ledger\)\.(run|finish)`},
	{"audit", `audit\.\(\*file\)\.run`},
	{"session", `proxy\.\(\*session\)\.(observe|record|hear|runningTransfers|showFates|recentLines)$`},
}

// events is what following transfers costs, in percent of one processor: what
// the daemon's own goroutines take for it, and all that it takes.
func events(ctx context.Context, r *round, st *stand.Stand) error {
	var o load.Outcome
	err := st.Profile(ctx, func() (err error) {
		o, err = st.Do(load.Job{Do: load.Transfers, Sessions: eventSessions, Seconds: r.o.seconds * eventSeconds, Pace: eventRate})
		return err
	})
	if err != nil {
		return err
	}
	r.note(st, "events.rate", "1/s", float64(o.Count)/o.Seconds)
	patterns := []string{}
	for _, f := range follows {
		if err := r.share(ctx, st, "events."+f.part, f.functions, o.Seconds); err != nil {
			return err
		}
		patterns = append(patterns, f.functions)
	}
	if err := r.share(ctx, st, "events.all", strings.Join(patterns, "|"), o.Seconds); err != nil {
		return err
	}
	return r.share(ctx, st, "events.daemon", ".", o.Seconds)
}

var accounting = regexp.MustCompile(`nodes accounting for ([0-9.]+)(ms)?,`)

// share notes how much of a processor the functions had in the profile, with all
// that they called.
func (r *round) share(ctx context.Context, st *stand.Stand, measure, functions string, seconds float64) error {
	pprof := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-symbolize=none", "-unit=ms", "-nodecount=1000000",
		"-nodefraction=0", "-focus="+functions, st.ProfileFile())
	var complaint strings.Builder
	pprof.Stderr = &complaint
	out, err := pprof.Output()
	m := accounting.FindSubmatch(out)
	if err != nil || m == nil {
		return fmt.Errorf("read the profile: %w\n%s%s", err, out, complaint.String())
	}
	ms, err := strconv.ParseFloat(string(m[1]), 64)
	if err != nil {
		return err
	}
	r.note(st, measure, "%", ms/10/seconds)
	return nil
}

// profiled builds a daemon that can be profiled: with one file more, which
// nothing but this build has.
func profiled(ctx context.Context, dir, profileTo string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	extra, overlay := filepath.Join(dir, "profile.go"), filepath.Join(dir, "overlay.json")
	in := filepath.Join(strings.TrimSpace(string(root)), "cmd", "ftpgate", "profile_overlay.go")
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{in: extra}})
	if err != nil {
		return "", err
	}
	if err := os.WriteFile(extra, []byte(profile.Main(profileTo)), 0o600); err != nil {
		return "", err
	}
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		return "", err
	}
	return buildDaemon(ctx, filepath.Join(dir, "bin", "ftpgate-profiled"), "-overlay", overlay)
}
