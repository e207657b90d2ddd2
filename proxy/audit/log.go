package audit

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long Close and Reopen wait for a file that takes nothing.
const patience = 3 * time.Second

// Options say where events are written.
type Options struct {
	JSON    string       // file; "": none
	Xferlog string       // file; "": none
	Logger  *slog.Logger // of the daemon: says when a file fails, and when it is well again; nil: slog's
}

// A Log takes events and writes them to its files. A nil Log takes none.
type Log struct {
	logger *slog.Logger
	lost   atomic.Uint64
	turn   sync.Mutex // one Reconfigure or Close at a time

	mu            sync.RWMutex // guards the fields below
	json, xferlog *file        // nil: off
	closed        bool
}

// Open opens the files, and makes those that are not there.
func Open(o Options) (*Log, error) {
	l := &Log{logger: cmp.Or(o.Logger, slog.Default())}
	if err := l.Reconfigure(o); err != nil {
		return nil, err
	}
	return l, nil
}

// Write takes an event. It never waits for a disk: what cannot be written is
// counted as dropped. The event and its slices must not change any more.
func (l *Log) Write(e Event) {
	if l == nil {
		return
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		l.lost.Add(1)
		return
	}
	if l.json != nil {
		l.json.put(e)
	}
	if l.xferlog != nil {
		if _, ok := fileTransfer(e); ok {
			l.xferlog.put(e)
		}
	}
}

// Off reports whether no file is written.
func (l *Log) Off() bool {
	if l == nil {
		return true
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.json == nil && l.xferlog == nil
}

// Dropped returns how many events were not written; one that both files lack
// counts twice.
func (l *Log) Dropped() uint64 {
	if l == nil {
		return 0
	}
	return l.lost.Load()
}

// Failing says why events are not written now, or nil. It is well again by
// itself, whether events come or not.
func (l *Log) Failing() error {
	if l == nil {
		return nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	var errs []error
	for _, f := range []*file{l.json, l.xferlog} {
		if f != nil {
			errs = append(errs, f.failing())
		}
	}
	return errors.Join(errs...)
}

// Reopen opens the files again by their names. Who has renamed them finds there
// what was written before Reopen, and nothing that comes after it.
func (l *Log) Reopen() error {
	if l == nil {
		return nil
	}
	l.mu.RLock()
	var o Options
	if l.json != nil {
		o.JSON = l.json.path
	}
	if l.xferlog != nil {
		o.Xferlog = l.xferlog.path
	}
	l.mu.RUnlock()
	return l.Reconfigure(o)
}

// Reconfigure takes other paths, and opens again those that stay. With an error
// of opening nothing has changed.
func (l *Log) Reconfigure(o Options) error {
	l.turn.Lock()
	defer l.turn.Unlock()
	if l.closed { // written with turn held too
		return errors.New("the audit log is closed")
	}
	json, err := openKey("audit.json", o.JSON)
	if err != nil {
		return err
	}
	xferlog, err := openKey("audit.xferlog", o.Xferlog)
	if err != nil {
		if json != nil {
			_ = json.close() // nothing was written to it
		}
		return err
	}
	inZone := func(b []byte, e Event) []byte { return appendXferlog(b, e, time.Local) }
	return errors.Join(
		l.replace(&l.json, "audit.json", json, appendJSON),
		l.replace(&l.xferlog, "audit.xferlog", xferlog, inZone),
	)
}

// openKey opens the file of a key, if it has one.
func openKey(key, path string) (*output, error) {
	if path == "" {
		return nil, nil
	}
	out, err := openOutput(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", key, err)
	}
	return out, nil
}

// replace gives one of the files its new output; nil: none. The caller holds turn.
func (l *Log) replace(at **file, key string, out *output, encode func([]byte, Event) []byte) error {
	old := *at
	if old != nil && out != nil && old.path == out.path {
		return old.change(out, patience)
	}
	var fresh *file
	if out != nil {
		out.inspect()
		fresh = newFile(key, out, encode, l.logger, &l.lost)
	}
	l.mu.Lock()
	*at = fresh
	l.mu.Unlock()
	if old == nil {
		return nil
	}
	old.end()
	return old.wait(time.Now().Add(patience))
}

// Close writes what is queued, and waits for that no longer than some seconds.
// What comes later is dropped.
func (l *Log) Close() error {
	if l == nil {
		return nil
	}
	l.turn.Lock()
	defer l.turn.Unlock()
	l.mu.Lock()
	l.closed = true
	files := []*file{l.json, l.xferlog}
	l.json, l.xferlog = nil, nil
	l.mu.Unlock()
	files = slices.DeleteFunc(files, func(f *file) bool { return f == nil })
	for _, f := range files {
		f.end()
	}
	until := time.Now().Add(patience)
	var errs []error
	for _, f := range files {
		errs = append(errs, f.wait(until))
	}
	return errors.Join(errs...)
}
