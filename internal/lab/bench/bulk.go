package main

import (
	"context"

	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/bench/stand"
)

// bulk is one transfer of many bytes.
func bulk(up, active bool) func(context.Context, *round, *stand.Stand) error {
	name := "bulk." + choose(up, "up", "down") + "." + choose(active, "active", "passive")
	return func(_ context.Context, r *round, st *stand.Stand) error {
		if active && !st.Kind.Active {
			return nil
		}
		return r.moved(st, name, func() (load.Outcome, error) {
			return st.Do(load.Job{Do: load.Bulk, Up: up, Active: active, Bytes: r.o.bytes})
		})
	}
}

// secured is one transfer of many bytes with TLS. What does not speak FTP only
// downloads.
func secured(up bool) func(context.Context, *round, *stand.Stand) error {
	name := "tls." + choose(up, "up", "down") + ".passive"
	return func(ctx context.Context, r *round, st *stand.Stand) error {
		if up && !st.Kind.FTP() {
			return nil
		}
		return r.moved(st, name, func() (load.Outcome, error) {
			if up {
				return st.Do(load.Job{Do: load.Bulk, Up: true, Bytes: r.o.bytes})
			}
			return st.Fetch(ctx, r.o.bytes)
		})
	}
}

// moved notes what moving many bytes takes: of the whole machine's processor
// time, and of the gateway's own.
func (r *round) moved(st *stand.Stand, name string, move func() (load.Outcome, error)) error {
	before, err := st.CPU()
	if err != nil {
		return err
	}
	o, err := move()
	if err != nil {
		return err
	}
	after, err := st.CPU()
	if err != nil {
		return err
	}
	perGiB := (1 << 30) / float64(o.Bytes)
	r.note(st, name+".rate", "MB/s", float64(o.Bytes)/1e6/o.Seconds)
	r.note(st, name+".cpu", "s/GiB", o.Busy*perGiB)
	if st.HasProcess() && st.Kind.FTP() { // of what is no gateway, it would be the server's
		r.note(st, name+".own", "s/GiB", (after-before)*perGiB)
	}
	return nil
}
