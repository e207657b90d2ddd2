package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"
)

// What a Job may do.
const (
	Transfers = "transfers" // the small file, over and over, in Sessions sessions
	Setups    = "setups"    // connect, log in, quit, in Sessions workers
	Bulk      = "bulk"      // Bytes in one transfer, at Pace
	Probe     = "probe"     // the small file, now and then, in one session
	Hold      = "hold"      // have Sessions idle sessions
	Stall     = "stall"     // have Sessions downloads of Bytes, and read nothing of them
	Release   = "release"   // close what Hold and Stall have
	Noops     = "noops"     // Count commands without effect in one session
	Rest      = "rest"      // nothing
)

// Job is one thing for a generator to do.
type Job struct {
	Do       string
	Server   netip.AddrPort
	Active   bool    // PORT, not PASV
	TLS      bool    // AUTH TLS and PROT P; not Setups
	Up       bool    // Bulk: upload
	Bytes    int64   // Bulk; a download's file must have that size
	Pace     float64 // Bulk: bytes per second, Transfers: those of all sessions per second; 0 for all that goes
	Sessions int
	Count    int
	Seconds  float64
}

func (j Job) duration() time.Duration { return time.Duration(j.Seconds * float64(time.Second)) }

// Outcome is what came of it. A generator may first say that it is Running.
type Outcome struct {
	Running bool    `json:",omitempty"`
	Error   string  `json:",omitempty"`
	Seconds float64 // the measured part
	Busy    float64 // processor seconds of the whole machine in it
	Count   int     // transfers, sessions, commands
	Bytes   int64   `json:",omitempty"`

	Reply, Done Percentiles
}

// Percentiles are of latencies, in seconds.
type Percentiles struct{ P50, P99 float64 }

// latencies fills in what is known of each transfer.
func (o *Outcome) latencies(all []latency) {
	o.Count = len(all)
	replies, dones := make([]time.Duration, len(all)), make([]time.Duration, len(all))
	for i, l := range all {
		replies[i], dones[i] = l.reply, l.done
	}
	o.Reply, o.Done = percentiles(replies), percentiles(dones)
}

func percentiles(d []time.Duration) Percentiles {
	if len(d) == 0 {
		return Percentiles{}
	}
	slices.Sort(d)
	return Percentiles{d[len(d)/2].Seconds(), d[len(d)*99/100].Seconds()}
}

// Serve does the jobs that come, one after the other, and writes their
// outcomes, until there are no more.
func Serve(jobs io.Reader, outcomes io.Writer) error {
	var g generator
	in, out := json.NewDecoder(jobs), json.NewEncoder(outcomes)
	for {
		var j Job
		err := in.Decode(&j)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a job: %w", err)
		}
		// A write that does not arrive leaves nobody to tell.
		o, err := g.run(j, func() { _ = out.Encode(Outcome{Running: true}) })
		if err != nil {
			o.Error = err.Error()
		}
		if err := out.Encode(o); err != nil {
			return fmt.Errorf("write an outcome: %w", err)
		}
	}
}
