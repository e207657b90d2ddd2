package conntrack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// EventType says what happened to a flow.
type EventType int

// The types of events.
const (
	New     EventType = iota + 1 // it began
	Update                       // its state, status or mark changed; the message may have only part of the flow
	Destroy                      // it ended; with the final counters
)

func (t EventType) String() string {
	switch t {
	case New:
		return "NEW"
	case Update:
		return "UPDATE"
	case Destroy:
		return "DESTROY"
	}
	return fmt.Sprintf("EventType(%d)", int(t))
}

// An Event is a change of one flow.
type Event struct {
	Type EventType
	Flow
}

// ListenConfig says what to listen to.
type ListenConfig struct {
	// Mark is the bits that a flow must have in its mark. Other flows are left
	// out in the kernel. It must not be 0.
	Mark uint32

	// Reap deletes translated flows as soon as their connection has ended. The
	// Destroy event then comes at once, and not when TIME_WAIT is over, and the
	// ports are free for the next connection.
	Reap bool

	// Linger has Reap wait with flows that the side that was dialled has closed.
	// That side remembers the connection in TIME_WAIT, 60 seconds on Linux, but
	// conntrack would not: it could give the same source port to a connection
	// from somebody else, whom the other side then refuses. The Destroy event
	// comes at once all the same, and not again. 0: reaped like the others.
	Linger time.Duration

	// Brief delivers New alone, and of translated flows alone: who knocks at a
	// control listener raises none. An event costs the kernel and us as much as a
	// packet, and a flow has seven of them. All marked flows are read every Sweep
	// instead, 0 being 2 seconds, for Reap and for Swept; less often where that
	// takes long, so that it never costs more than 2 % of a processor. Reap
	// deletes an ended flow that it sees for the second time: whoever hears of an
	// end has a while to Get the counters.
	Brief bool
	Sweep time.Duration

	// Swept is called with what was read, from the goroutine of Run, before any
	// of it is deleted.
	Swept func([]Flow)

	// Resync is called with all marked flows after events were lost, from the
	// goroutine of Run. Flows that are not among them have ended unseen.
	Resync func([]Flow)

	// Buffer is the size of the receive buffer; 0 is 8 MiB. An unprivileged
	// process gets what net.core.rmem_max allows.
	Buffer int
}

// A Listener follows the marked flows. Flows that began before Listen raise no
// events on kernels that make them only for listeners (nf_conntrack_events=2).
type Listener struct {
	cfg     ListenConfig
	events  *netlink.Conn
	raw     syscall.RawConn // of events
	buffer  []byte
	ask     *Conn
	reaper  *netlink.Conn // writes deletions; their answers are not read
	resyncs atomic.Uint64
	ended   lingering            // owned by Run, as is what follows
	over    map[uint32]time.Time // Brief: when a flow, by its id, was first seen to have ended
	next    time.Time            // Brief: when to sweep
}

// Listen subscribes: from its return on no event is missed, though they are
// delivered only by Run.
func Listen(cfg ListenConfig) (*Listener, error) {
	if cfg.Mark == 0 {
		return nil, errors.New("listen to conntrack: needs a mark")
	}
	if cfg.Sweep == 0 {
		cfg.Sweep = 2 * time.Second
	}
	if cfg.Buffer == 0 {
		cfg.Buffer = 8 << 20
	}
	ask, err := Dial()
	if err != nil {
		return nil, err
	}
	reaper, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		ask.Close()
		return nil, fmt.Errorf("listen to conntrack: %w", err)
	}
	events, err := subscribe(cfg)
	if err != nil {
		ask.Close()
		reaper.Close()
		return nil, fmt.Errorf("listen to conntrack: %w", err)
	}
	raw, err := events.SyscallConn()
	if err != nil {
		ask.Close()
		reaper.Close()
		events.Close()
		return nil, fmt.Errorf("listen to conntrack: %w", err)
	}
	return &Listener{
		cfg: cfg, events: events, raw: raw, buffer: make([]byte, maxMessage),
		ask: ask, reaper: reaper, ended: newLingering(),
	}, nil
}

// Resyncs counts how often events were lost.
func (l *Listener) Resyncs() uint64 { return l.resyncs.Load() }

// Run calls f for every event, one after the other, until ctx is done, and then
// closes the Listener. f must not block for long: the kernel keeps events only
// as long as the buffer has room.
func (l *Listener) Run(ctx context.Context, f func(Event)) error {
	defer l.ask.Close()
	defer l.reaper.Close()
	defer l.events.Close()
	stop := context.AfterFunc(ctx, func() { _ = l.events.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var deadline time.Time
	for {
		if due := l.due(); !due.Equal(deadline) {
			deadline = due
			if err := l.events.SetReadDeadline(due); err != nil {
				return fmt.Errorf("follow conntrack: %w", err)
			}
		}
		if ctx.Err() != nil { // its deadline may have been overwritten just now
			return nil
		}
		messages, err := l.receive()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ENOBUFS):
			err = l.resync(f)
		case errors.Is(err, os.ErrDeadlineExceeded):
			err = nil
		}
		for _, m := range messages {
			if err == nil {
				err = l.deliver(m, f)
			}
			if errors.Is(err, errMalformed) { // lost to us: like an overflow
				err = l.resync(f)
			}
		}
		for _, flow := range l.ended.over(time.Now()) {
			if err == nil {
				err = l.remove(flow.orig, flow.id)
			}
		}
		if now := time.Now(); err == nil && l.sweeps() && !now.Before(l.next) {
			err = l.sweep(now)
		}
		if err != nil {
			return fmt.Errorf("follow conntrack: %w", err)
		}
	}
}

func (l *Listener) deliver(m netlink.Message, f func(Event)) error {
	var e Event
	switch {
	case m.Header.Type == msgDelete:
		e.Type = Destroy
	case m.Header.Type == msgNew && m.Header.Flags&(netlink.Create|netlink.Excl) != 0:
		e.Type = New
	case m.Header.Type == msgNew:
		e.Type = Update
	default:
		return nil
	}
	var err error
	if e.Flow, err = parse(m.Data); err != nil {
		if errors.Is(err, errNotTCP) {
			return nil
		}
		return err
	}
	if e.Type == Destroy && l.ended.forget(e.ID) {
		return nil // delivered when its connection ended
	}
	f(e)
	if e.Type == Update {
		return l.reap(e.Flow, f)
	}
	return nil
}

// reap deletes a flow whose connection has ended. Control connections to
// ourselves are marked too, but not translated: they are left to the kernel.
func (l *Listener) reap(flow Flow, f func(Event)) error {
	switch {
	case !l.cfg.Reap || l.cfg.Brief || !flow.State.Over() || flow.Status&translated == 0 || l.ended.has(flow.ID):
		return nil
	case l.cfg.Linger == 0 || !flow.AcceptorClosed || flow.State != TimeWait:
		return l.remove(flow.Orig, flow.ID)
	}
	final, err := l.ask.Get(flow.Orig)
	switch {
	case errors.Is(err, ErrNotFound) || err == nil && final.ID != flow.ID:
		return nil // gone: its own event says so
	case err != nil:
		return err
	}
	l.ended.add(final, time.Now().Add(l.cfg.Linger))
	f(Event{Destroy, final})
	return nil
}

// remove deletes a flow and does not wait: one that is gone already, or cannot
// be deleted, ends with its own timeout.
func (l *Listener) remove(orig Tuple, id uint32) error {
	m, err := deletion(orig, id, 0)
	if err == nil {
		_, err = l.reaper.Send(m)
	}
	return err
}

// resync makes up for lost events: Resync learns what there is, and what has
// ended meanwhile is reaped.
func (l *Listener) resync(f func(Event)) error {
	l.resyncs.Add(1)
	flows, err := l.ask.Dump(l.cfg.Mark, l.cfg.Mark)
	if err != nil {
		return err
	}
	l.ended.keep(flows)
	if l.cfg.Resync != nil {
		l.cfg.Resync(flows)
	}
	for _, flow := range flows {
		if err := l.reap(flow, f); err != nil {
			return err
		}
	}
	return nil
}
