package load

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

// clock reads the time and how much of it the processors had nothing to do. The
// kernel keeps idle time to the microsecond (what is busy it samples), and
// shows it in hundredths of a second per processor.
type clock struct {
	began time.Time
	idle  time.Duration
}

// Measure tells what a function took.
func Measure(f func() error) (Outcome, error) {
	c, err := startClock()
	if err != nil {
		return Outcome{}, err
	}
	if err := f(); err != nil {
		return Outcome{}, err
	}
	elapsed, busy, err := c.stop()
	return Outcome{Seconds: elapsed.Seconds(), Busy: busy.Seconds()}, err
}

func startClock() (clock, error) {
	idle, err := idleTime()
	return clock{time.Now(), idle}, err
}

// stop returns the time that has passed and the processor time that was spent
// in it, by the whole machine.
func (c clock) stop() (elapsed, busy time.Duration, err error) {
	elapsed = time.Since(c.began)
	idle, err := idleTime()
	busy = elapsed*time.Duration(runtime.NumCPU()) - (idle - c.idle)
	return elapsed, max(busy, 0), err
}

// idleTime is what all processors together did not work: idle, waiting for a
// disk, or taken away by a hypervisor. See proc_stat(5).
func idleTime() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := bytes.Cut(text, []byte("\n"))
	fields := bytes.Fields(line)
	if len(fields) < 9 || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	var ticks int64
	for _, i := range []int{4, 5, 8} {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("/proc/stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}
