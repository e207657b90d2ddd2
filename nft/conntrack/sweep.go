package conntrack

import "time"

// sweeps reports whether ended flows are looked for, as no event tells of them.
func (l *Listener) sweeps() bool { return l.cfg.Brief && l.cfg.Reap }

// due is when Run has something to do besides events; zero: never.
func (l *Listener) due() time.Time {
	if !l.sweeps() {
		return l.ended.due()
	}
	if l.swept.IsZero() {
		l.swept = time.Now()
	}
	return l.swept.Add(l.cfg.Sweep)
}

// sweep is what reaps where no event tells of ends. A flow that lingers goes
// when it has been seen for that long.
func (l *Listener) sweep(now time.Time) error {
	l.swept = now
	flows, err := l.ask.Dump(l.cfg.Mark, l.cfg.Mark)
	if err != nil {
		return err
	}
	over := map[uint32]time.Time{}
	for _, f := range flows {
		if !f.State.Over() || f.Status&DNAT == 0 {
			continue
		}
		seen, known := l.over[f.ID]
		if !known {
			seen = now
		}
		if f.AcceptorClosed && f.State == TimeWait && now.Sub(seen) < l.cfg.Linger {
			over[f.ID] = seen
		} else if err := l.remove(f.Orig, f.ID); err != nil {
			return err
		}
	}
	l.over = over
	return nil
}
