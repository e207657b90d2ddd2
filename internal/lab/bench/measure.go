package main

import (
	"context"
	"fmt"
	"slices"

	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/bench/report"
	"ftpgate/internal/lab/bench/stand"
)

// measure is one thing to find out about each kind. It is told which round it
// is in, and notes results. Measures are small, so that kinds which are compared
// are measured within a second or two of each other.
type measure struct {
	group string // by which it is chosen
	run   func(context.Context, *round, *stand.Stand) error
}

// measures are all of them, in the order of a round. The one that restarts the
// gateway and leaves thousands of sessions behind comes last.
var measures = []measure{
	{"bulk", bulk(false, false)},
	{"bulk", bulk(false, true)},
	{"bulk", bulk(true, false)},
	{"bulk", bulk(true, true)},
	{"tls", secured(false)},
	{"tls", secured(true)},
	{"transfers", transfers(1)},
	{"transfers", transfers(8)},
	{"transfers", transfers(64)},
	{"setups", setups(1)},
	{"setups", setups(16)},
	{"probe", probe},
	{"events", events},
	{"stalled", stalled},
	{"idle", idle},
}

// alone is the measure that is about ftpgate's table and has no other kind.
const alone = "pinholes"

func measureNames() []string {
	names := []string{}
	for _, m := range measures {
		names = append(names, m.group)
	}
	return append(slices.Compact(names), alone)
}

// background is what the machine does without us. Much of it makes a round
// worth little.
func (r *round) background(st *stand.Stand) error {
	o, err := st.Do(load.Job{Do: load.Rest, Seconds: 0.5})
	if err != nil {
		return err
	}
	busy := o.Busy / o.Seconds
	r.report.Add(report.Result{Round: r.number, Kind: report.Machine, Measure: "background", Unit: "processors", Value: busy})
	if busy > 0.1 {
		progress("other programs keep %.2f processors busy: expect numbers that mean little", busy)
	}
	return nil
}

// transfers is many small files.
func transfers(sessions int) func(context.Context, *round, *stand.Stand) error {
	name := fmt.Sprintf("transfers.%d", sessions)
	return func(_ context.Context, r *round, st *stand.Stand) error {
		o, err := st.Do(load.Job{Do: load.Transfers, Sessions: sessions, Seconds: r.o.seconds})
		if err != nil {
			return err
		}
		r.note(st, name+".rate", "1/s", float64(o.Count)/o.Seconds)
		r.note(st, name+".cpu", "µs", o.Busy/float64(o.Count)*1e6)
		r.percentiles(st, name+".reply", o.Reply)
		r.percentiles(st, name+".done", o.Done)
		return nil
	}
}

// setups is sessions begun and ended.
func setups(workers int) func(context.Context, *round, *stand.Stand) error {
	name := fmt.Sprintf("setups.%d", workers)
	return func(_ context.Context, r *round, st *stand.Stand) error {
		o, err := st.Do(load.Job{Do: load.Setups, Sessions: workers, Seconds: r.o.seconds})
		if err != nil {
			return err
		}
		r.note(st, name+".rate", "1/s", float64(o.Count)/o.Seconds)
		r.note(st, name+".cpu", "µs", o.Busy/float64(o.Count)*1e6)
		return nil
	}
}

// besideRate is the bulk that runs beside the probe, in bytes per second.
const besideRate = 100e6

// probe is a session that wants little while another moves much.
func probe(_ context.Context, r *round, st *stand.Stand) error {
	end, err := st.Load.Begin(st.Job(load.Job{Do: load.Bulk, Bytes: r.o.besideBytes(), Pace: besideRate}))
	if err != nil {
		return err
	}
	o, probeErr := st.Probe.Do(st.Job(load.Job{Do: load.Probe, Seconds: r.o.probing()}))
	beside, err := end()
	if err != nil {
		return err
	}
	if probeErr != nil {
		return probeErr
	}
	r.percentiles(st, "probe.reply", o.Reply)
	r.percentiles(st, "probe.done", o.Done)
	r.note(st, "probe.beside", "MB/s", float64(beside.Bytes)/1e6/beside.Seconds)
	return nil
}

// probing is longer than other measures: a probe makes few transfers.
func (o options) probing() float64 { return 2 * o.seconds }

// besideBytes keep the bulk running for a little longer than the probe.
func (o options) besideBytes() int64 { return int64((o.probing() + 0.3) * besideRate) }

func choose(b bool, yes, no string) string {
	if b {
		return yes
	}
	return no
}
