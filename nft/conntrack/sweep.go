package conntrack

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// busyShare bounds what sweeping costs on a host with a huge conntrack table,
// which the kernel walks in whole: between two sweeps lies so many times the
// processor time that the last one took.
const busyShare = 50

// sweeps reports whether ended flows are looked for, as no event tells of them.
func (l *Listener) sweeps() bool { return l.cfg.Brief && (l.cfg.Reap || l.cfg.Swept != nil) }

// due is when Run has something to do besides events; zero: never.
func (l *Listener) due() time.Time {
	if !l.sweeps() {
		return l.ended.due()
	}
	if l.next.IsZero() {
		l.next = time.Now().Add(l.cfg.Sweep)
	}
	return l.next
}

// sweep is what reaps where no event tells of ends. An ended flow goes when it is
// seen again, so that whoever hears of its end can ask for it; one that lingers
// goes when it has been seen for that long.
func (l *Listener) sweep(now time.Time) error {
	runtime.LockOSThread() // whose time is counted
	defer runtime.UnlockOSThread()
	began := threadTime()
	defer func() { l.next = now.Add(pause(l.cfg.Sweep, threadTime()-began)) }()
	flows, err := l.ask.Dump(l.cfg.Mark, l.cfg.Mark)
	if err != nil {
		return err
	}
	if l.cfg.Swept != nil {
		l.cfg.Swept(flows)
	}
	if !l.cfg.Reap {
		return nil
	}
	over := map[uint32]time.Time{}
	for _, f := range flows {
		if !f.State.Over() || f.Status&translated == 0 {
			continue
		}
		seen, known := l.over[f.ID]
		switch {
		case !known:
			over[f.ID] = now
		case f.AcceptorClosed && f.State == TimeWait && now.Sub(seen) < l.cfg.Linger:
			over[f.ID] = seen
		default:
			if err := l.remove(f.Orig, f.ID); err != nil {
				return err
			}
		}
	}
	l.over = over
	return nil
}

// pause is from the beginning of a sweep to the next one's.
func pause(interval, took time.Duration) time.Duration {
	return max(interval, busyShare*took)
}

// threadTime is the processor time that this thread has used, in the kernel too.
func threadTime() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts) // fails for no clock that there is
	return time.Duration(ts.Nano())
}
