// Package doctor examines a host for a configuration: what of it keeps FTP from
// passing, why that matters, and what mends it, in the words of the firewall
// that is there.
//
//	report := doctor.Examine(ctx, doctor.Options{File: file})
//	err := report.Write(os.Stdout)
//
// A check is a function with a name, in the table below. All run at once, each
// with a deadline; one that has no right to look, or no time, says so instead of
// finding nothing. Nothing of the host is changed.
//
// Watcher repeats it for a daemon, as a metric and in the log.
//
// Be aware: what a firewall does is foretold (see package rules), not tried. A
// backend, though, is dialled.
package doctor

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"ftpgate/internal/config"
	"ftpgate/nft"
)

// Severity is how bad a finding is.
type Severity string

// The severities, worst first.
const (
	Error   Severity = "error"   // FTP through this host fails
	Warning Severity = "warning" // some transfers will fail
	Notice  Severity = "notice"  // nothing fails, but one should know
)

func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Notice}, s) }

// Finding is one thing that a check found.
type Finding struct {
	Check    Check    `json:"check"`
	Severity Severity `json:"severity"`
	About    string   `json:"about"` // what it was found of: tells findings of one check apart
	Seen     string   `json:"seen"`
	Why      string   `json:"why"`            // it matters
	Mend     []string `json:"mend,omitempty"` // commands for a shell, which take effect at once
	Edit     string   `json:"edit,omitempty"` // what else mends it, or has to be decided
	Keep     string   `json:"keep,omitempty"` // what makes the commands outlast a restart of the host
}

// Unexamined is a check that could not be made.
type Unexamined struct {
	Check Check  `json:"check"`
	Why   string `json:"why"`
}

// Report is the outcome of all checks.
type Report struct {
	Findings   []Finding    `json:"findings"`   // worst first
	Unexamined []Unexamined `json:"unexamined"` // in the order of the checks
}

// Options say what to examine. File is needed.
type Options struct {
	File *config.File
	Root string // where /proc, /etc and /sys are; "": /

	// A daemon that examines its own host knows these better.
	Features   *nft.Features // nil: found out
	Reinstalls func() uint64 // of its table; nil: asked of the daemon that runs, if its metrics can be had
}

// deadlines of a check that asks the kernel, and of one that talks to others.
const (
	kernelTime = 5 * time.Second
	remoteTime = 15 * time.Second
)

// Examine makes all checks. It takes no longer than the slowest may.
func Examine(ctx context.Context, o Options) Report {
	h := newHost(o)
	findings := make([][]Finding, len(checks))
	errs := make([]error, len(checks))
	var running sync.WaitGroup
	for i, c := range checks {
		running.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, max(c.time, kernelTime))
			defer cancel()
			findings[i], errs[i] = c.run(ctx, h)
		})
	}
	running.Wait()
	report := Report{Findings: []Finding{}, Unexamined: []Unexamined{}}
	for i, c := range checks {
		for _, f := range findings[i] {
			f.Check = c.name
			report.Findings = append(report.Findings, f)
		}
		if errs[i] != nil {
			report.Unexamined = append(report.Unexamined, Unexamined{c.name, errs[i].Error()})
		}
	}
	slices.SortStableFunc(report.Findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return report
}

// Bad reports whether there is more to say than notices.
func (r Report) Bad() bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Severity != Notice })
}
