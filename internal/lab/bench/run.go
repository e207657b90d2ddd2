package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/bench/report"
	"ftpgate/internal/lab/bench/stand"
	"ftpgate/internal/lab/debian"
)

// round is one of the rounds, and where its results go.
type round struct {
	o      options
	number int
	report *report.Report
}

// note keeps one result.
func (r *round) note(st *stand.Stand, measure, unit string, value float64) {
	r.report.Add(report.Result{Round: r.number, Kind: st.Kind.Name, Measure: measure, Unit: unit, Value: value})
}

func (r *round) percentiles(st *stand.Stand, measure string, p load.Percentiles) {
	r.note(st, measure+".p50", "µs", p.P50*1e6)
	r.note(st, measure+".p99", "µs", p.P99*1e6)
}

// bench is the whole run.
func (o options) bench(ctx context.Context) error {
	if err := o.sessionsFit(); err != nil {
		return err
	}
	dir, remove, err := workDir()
	if err != nil {
		return err
	}
	defer remove()
	rep, err := o.newReport()
	if err != nil {
		return err
	}
	stands, err := o.build(ctx, dir)
	defer func() {
		for _, st := range stands {
			st.Close()
		}
	}()
	if err != nil {
		return err
	}
	err = o.measure(ctx, stands, rep)
	return errors.Join(err, o.finish(rep))
}

// newReport opens the results file, if there is a folder for it.
func (o options) newReport() (*report.Report, error) {
	to := io.Discard
	if o.out != "" {
		if err := os.MkdirAll(o.out, 0o755); err != nil {
			return nil, err
		}
		file, err := os.Create(filepath.Join(o.out, "results.jsonl"))
		if err != nil {
			return nil, err
		}
		to = file // closed by the end of the program
	}
	return report.New(machine(), to), nil
}

// build makes the stands. They are returned with an error too.
func (o options) build(ctx context.Context, dir string) ([]*stand.Stand, error) {
	set := stand.Setting{Self: "/proc/self/exe", Dir: dir, Files: []int64{o.bytes, o.besideBytes()}}
	var err error
	if slices.ContainsFunc(o.kinds, func(k stand.Kind) bool { return k.Ours }) {
		if set.Program, err = o.daemon(ctx, dir); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(o.kinds, func(k stand.Kind) bool { return k.Name == stand.Audited }) {
		set.Profile = filepath.Join(dir, "profile")
		if set.Profiled, err = profiled(ctx, dir, set.Profile); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(o.kinds, func(k stand.Kind) bool { return k.Peers }) {
		if set.Peers, err = fetchPeers(ctx); err != nil {
			return nil, err
		}
	}
	var stands []*stand.Stand
	for _, k := range o.kinds {
		progress("building %s", k.Title)
		st, err := stand.New(ctx, k, set)
		if err != nil {
			return stands, err
		}
		stands = append(stands, st)
	}
	return stands, nil
}

// daemon returns ftpgate, built unless it was given.
func (o options) daemon(ctx context.Context, dir string) (string, error) {
	if o.program != "" {
		return filepath.Abs(o.program)
	}
	program := filepath.Join(dir, "bin", "ftpgate")
	return buildDaemon(ctx, program)
}

func buildDaemon(ctx context.Context, program string, flags ...string) (string, error) {
	args := append([]string{"build", "-trimpath", "-ldflags", "-s -w", "-o", program}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, "ftpgate/cmd/ftpgate")...)
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ftpgate: %w\n%s", err, out)
	}
	return program, nil
}

func fetchPeers(ctx context.Context) (*debian.Tree, error) {
	cache, err := debian.CacheDir()
	if err != nil {
		return nil, err
	}
	wanted := append(slices.Clone(debian.Peers), []string{"openssl"})
	return debian.FetchSet(ctx, wanted, filepath.Join(filepath.Dir(cache), "peers"), os.Stderr)
}

// measure goes through everything in turn. The kinds begin elsewhere each time:
// none is always the first after what came before.
func (o options) measure(ctx context.Context, stands []*stand.Stand, rep *report.Report) error {
	for n := range o.rounds {
		r := &round{o: o, number: n + 1, report: rep}
		if err := r.background(stands[0]); err != nil {
			return err
		}
		for _, m := range measures {
			if !o.wants(m.group) {
				continue
			}
			for i := range stands {
				st := stands[(i+n)%len(stands)]
				if !st.Kind.Does(m.group) {
					continue
				}
				if err := ctx.Err(); err != nil {
					return err
				}
				progress("round %d of %d: %s, %s", r.number, o.rounds, m.group, st.Kind.Title)
				err := m.run(ctx, r, st)
				if err != nil && st.Kind.Peers && ctx.Err() == nil {
					// What another program cannot do is a result too, and no reason to end.
					progress("%s cannot do %s in this round: %v", st.Kind.Title, m.group, err)
					continue
				}
				if err != nil {
					return fmt.Errorf("%s, %s: %w\n%s", m.group, st.Kind.Title, err, st.Log())
				}
			}
		}
		if o.wants(alone) && slices.ContainsFunc(o.kinds, isFTPGate) {
			progress("round %d of %d: %s", r.number, o.rounds, alone)
			if err := r.pinholes(); err != nil {
				return fmt.Errorf("%s: %w", alone, err)
			}
		}
	}
	return nil
}

func isFTPGate(k stand.Kind) bool { return k.Name == stand.FTPGate }

func (o options) wants(measure string) bool {
	return len(o.measures) == 0 || slices.Contains(o.measures, measure)
}

// finish shows what was found, also of a run that was broken off.
func (o options) finish(rep *report.Report) error {
	if err := rep.Write(os.Stdout); err != nil || o.out == "" {
		return err
	}
	return rep.Draw(o.out)
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "bench: "+format+"\n", args...)
}
