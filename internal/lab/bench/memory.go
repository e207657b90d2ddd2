package main

import (
	"context"
	"fmt"
	"math"
	"time"

	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/bench/stand"
)

// idle is what sessions cost that do nothing: memory, and time of one that does
// something.
func idle(ctx context.Context, r *round, st *stand.Stand) error {
	if err := st.Restart(ctx); err != nil { // memory that earlier measures took would count
		return err
	}
	var empty int64
	if st.HasProcess() {
		var err error
		if empty, err = st.PSS(); err != nil {
			return err
		}
	}
	for _, n := range r.o.idle {
		if n > st.Kind.Idle {
			break
		}
		if err := r.idleAt(st, n, empty); err != nil {
			return fmt.Errorf("with %d idle sessions: %w", n, err)
		}
	}
	if _, err := st.Do(load.Job{Do: load.Release}); err != nil {
		return err
	}
	if err := st.Restart(ctx); err != nil {
		return err
	}
	return st.Drained(ctx)
}

func (r *round) idleAt(st *stand.Stand, n int, empty int64) error {
	if _, err := st.Do(load.Job{Do: load.Hold, Sessions: n}); err != nil {
		return err
	}
	name := fmt.Sprintf("idle.%d", n)
	if st.HasProcess() {
		pss, err := st.PSS()
		if err != nil {
			return err
		}
		r.note(st, name+".pss", "KiB/session", float64(pss-empty)/float64(n))
	}
	o, err := st.Do(load.Job{Do: load.Noops, Count: r.o.noops})
	if err != nil {
		return err
	}
	r.percentiles(st, name+".noop", o.Reply)
	return nil
}

// stalled is what transfers cost in memory that stand still: clients ask for a
// file and read nothing of it. What their sessions cost without is noted apart.
func stalled(ctx context.Context, r *round, st *stand.Stand) error {
	if !st.HasProcess() {
		return nil
	}
	if err := st.Restart(ctx); err != nil {
		return err
	}
	empty, err := st.PSS()
	if err != nil {
		return err
	}
	idle, err := settled(ctx, st, load.Job{Do: load.Hold, Sessions: r.o.stalled})
	if err != nil {
		return err
	}
	full, err := settled(ctx, st, load.Job{Do: load.Stall, Sessions: r.o.stalled, Bytes: r.o.bytes})
	if err != nil {
		return err
	}
	name := fmt.Sprintf("stalled.%d", r.o.stalled)
	r.note(st, name+".session.pss", "KiB", float64(idle-empty)/float64(r.o.stalled))
	r.note(st, name+".transfer.pss", "KiB", float64(full-idle)/float64(r.o.stalled))
	if _, err := st.Do(load.Job{Do: load.Release}); err != nil {
		return err
	}
	if err := st.Restart(ctx); err != nil {
		return err
	}
	return st.Drained(ctx)
}

// settled does a job and returns the gateway's memory when that has stopped to
// change: all buffers on the way to those who do not read are full then.
func settled(ctx context.Context, st *stand.Stand, j load.Job) (int64, error) {
	if _, err := st.Do(j); err != nil {
		return 0, err
	}
	const still, change = 5, 0.005
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var last int64
	for same := 0; same < still; {
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-tick.C:
		}
		now, err := st.PSS()
		if err != nil {
			return 0, err
		}
		if same++; math.Abs(float64(now-last)) > change*float64(last) {
			same, last = 0, now
		}
	}
	return last, nil
}
