package audit

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueSize = 8192             // events that wait for a disk
	batchSize = 64 << 10         // bytes of lines that are written at once
	retry     = time.Second      // from a write that failed to the next try
	stuck     = 10 * time.Second // a write that takes longer has failed as well
)

// file is one of the two logs: a queue of events, and the goroutine of run, which
// alone writes.
type file struct {
	key    string // of the configuration
	path   string
	encode func([]byte, Event) []byte
	logger *slog.Logger
	lost   *atomic.Uint64 // the Log's count of dropped events

	queue  chan Event
	asked  chan func()   // what run is to do between two writes
	ending chan struct{} // closed: write what is queued, and end
	ended  chan struct{}

	failure atomic.Pointer[error]  // of the last write; nil: it was well
	writing atomic.Int64           // since when a write is under way, in Unix nanoseconds; 0: none is
	batched atomic.Int64           // lines in held, for whoever gives up on run
	out     atomic.Pointer[output] // set by run
	given   atomic.Bool            // giveUp has counted

	held []byte // lines taken from the queue and not written yet; owned by run

	mu  sync.Mutex // guards gap
	gap struct {
		since  time.Time // when the queue was found full; zero: it was not since the last report
		events uint64    // dropped since then
	}
}

func newFile(key string, out *output, encode func([]byte, Event) []byte, logger *slog.Logger, lost *atomic.Uint64) *file {
	f := &file{
		key: key, path: out.path, encode: encode, logger: logger.With("file", out.path), lost: lost,
		queue: make(chan Event, queueSize), asked: make(chan func()), ending: make(chan struct{}), ended: make(chan struct{}),
	}
	f.out.Store(out)
	go f.run()
	return f
}

// put takes an event, or drops it when the queue is full.
func (f *file) put(e Event) {
	select {
	case f.queue <- e:
	default:
		if f.drop() {
			f.logger.Error("audit events are dropped: too many wait for this file")
		}
	}
}

// drop counts an event that finds no place, and reports whether it is the first.
func (f *file) drop() bool {
	f.lost.Add(1)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gap.events++
	if !f.gap.since.IsZero() {
		return false
	}
	f.gap.since = time.Now()
	return true
}

// run writes what is queued, until it is told to end.
func (f *file) run() {
	defer close(f.ended)
	for {
		queue, again := f.queue, (<-chan time.Time)(nil)
		if len(f.held) > 0 { // it could not be written: what came later waits
			queue, again = nil, time.After(retry)
		}
		select {
		case e := <-queue:
			f.held = f.encode(f.held, e)
			f.gather(len(f.queue))
			f.flush()
		case <-again:
			f.flush()
		case do := <-f.asked:
			do()
		case <-f.ending:
			f.writeAll(len(f.queue))
			f.giveUp(f.batched.Load() + int64(len(f.queue)))
			_ = f.out.Load().close()
			return
		}
	}
}

// gather makes lines of up to n queued events, as many as fit into a batch, and
// returns how many it took.
func (f *file) gather(n int) (taken int) {
	for taken < n && len(f.held) < batchSize {
		select {
		case e := <-f.queue:
			f.held = f.encode(f.held, e)
			taken++
		default:
			return taken
		}
	}
	return taken
}

// writeAll writes the lines held and the first n events of the queue, unless
// the file does not take them.
func (f *file) writeAll(n int) {
	f.flush()
	for n > 0 && len(f.held) == 0 {
		n -= f.gather(n)
		f.flush()
	}
}

// flush tries to write the lines held, and keeps account of how that goes. When
// all is written, it says what is missing.
func (f *file) flush() {
	f.batched.Store(int64(lines(f.held)))
	if len(f.held) > 0 {
		f.judge(f.write())
	}
	if len(f.held) > 0 || len(f.queue) > 0 {
		return
	}
	f.mu.Lock()
	gap := f.gap
	f.gap.since, f.gap.events = time.Time{}, 0
	f.mu.Unlock()
	if gap.events == 0 {
		return
	}
	f.logger.Warn("audit events are written again", slog.Uint64("dropped", gap.events))
	f.held = f.encode(f.held, dropped{time: time.Now(), since: gap.since, events: gap.events})
	f.judge(f.write())
}

// write writes the lines held. What the file has not taken stays.
func (f *file) write() error {
	f.writing.Store(time.Now().UnixNano())
	defer f.writing.Store(0)
	out, err := f.out.Load().present()
	if err != nil {
		return err
	}
	f.out.Store(out)
	if out.torn {
		if err := out.mend(f.encode(nil, torn{time.Now()})); err != nil {
			return err
		}
	}
	n, err := out.write(f.held)
	f.held = append(f.held[:0], f.held[n:]...)
	f.batched.Store(int64(lines(f.held)))
	return err
}

// judge notes whether the file can be written, and logs when that changes.
func (f *file) judge(err error) {
	was := f.failure.Load()
	switch {
	case err == nil && was != nil:
		f.failure.Store(nil)
		f.logger.Warn("the audit file is written again")
	case err != nil:
		f.failure.Store(&err)
		if was == nil {
			f.logger.Error("the audit file cannot be written: events wait", slog.Any("err", err))
		}
	}
}

// failing says why the file does not keep up, or nil.
func (f *file) failing() error {
	if err := f.failure.Load(); err != nil {
		return fmt.Errorf("%s: %w", f.key, *err)
	}
	f.mu.Lock()
	dropping := !f.gap.since.IsZero()
	f.mu.Unlock()
	if dropping {
		return fmt.Errorf("%s: write %s: too slow: events are dropped", f.key, f.path)
	}
	if began := f.writing.Load(); began != 0 && time.Since(time.Unix(0, began)) > stuck {
		return fmt.Errorf("%s: write %s: it takes longer than %v", f.key, f.path, stuck)
	}
	return nil
}

// change gives run another output for what is put from now on. What was put
// before goes to the old one, if that takes it.
func (f *file) change(fresh *output, within time.Duration) error {
	late := time.After(within)
	changed := make(chan struct{})
	do := func() {
		f.writeAll(len(f.queue))
		old := f.out.Load()
		fresh.inherit(old)
		f.out.Store(fresh)
		if err := old.close(); err != nil {
			f.logger.Warn("closing the audit file complained", slog.Any("err", err))
		}
		f.flush()
		close(changed)
	}
	busy := fmt.Errorf("%s: write %s: it takes longer than %v, so the file was not opened again", f.key, f.path, within)
	select {
	case f.asked <- do:
	case <-late:
		_ = fresh.close() // nothing was written to it
		return busy
	}
	select {
	case <-changed:
		return nil
	case <-late:
		return busy // run will open it when the write ends
	}
}

// end has run write what is queued, and end. No event may be put any more.
func (f *file) end() { close(f.ending) }

// wait waits until run has ended, or until a time has come.
func (f *file) wait(until time.Time) error {
	select {
	case <-f.ended:
		return nil
	case <-time.After(time.Until(until)):
	}
	f.out.Load().interrupt()
	select {
	case <-f.ended:
		return nil
	case <-time.After(patience / 10):
	}
	// run is left behind in a system call that nothing ends.
	f.giveUp(f.batched.Load() + int64(len(f.queue)))
	return fmt.Errorf("%s: write %s: it does not end", f.key, f.path)
}

// giveUp counts events that will not be written, as wait and run may both find.
func (f *file) giveUp(n int64) {
	if n > 0 && f.given.CompareAndSwap(false, true) {
		f.lost.Add(uint64(n))
		f.logger.Error("audit events are dropped: the file did not take them in time", slog.Int64("dropped", n))
	}
}
