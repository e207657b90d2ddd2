package proxy

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/audit"
)

// Firewall opens and closes pinholes; *nft.Table is one. A pinhole is at work
// when Open returns. Used says that a connection has consumed one, which saves
// Close its work. Close of one that is gone is no error.
type Firewall interface {
	Open(nft.Pinhole) error
	Renew(nft.Pinhole) error
	Used(nft.Pinhole)
	Close(nft.Pinhole) error
	// Cut ends a connection that runs, if its flow still has the id.
	Cut(orig conntrack.Tuple, id uint32) error
	// Strays are who dialled an address and port of ours and was not let in.
	Strays(at netip.AddrPort) ([]nft.Stray, error)
}

// Flows clears the way for an active pinhole: an entry of an ended connection
// with this reply tuple would swallow the new one's first SYN. busy: the entry
// belongs to a live connection. was: the entry, if there was one. *conntrack.Conn has such a method.
//
// Dump returns the flows with a mark, Get and GetReply one of them.
type Flows interface {
	Clear(reply conntrack.Tuple, mark uint32) (was conntrack.Flow, busy bool, err error)
	Dump(mark, mask uint32) ([]conntrack.Flow, error)
	Get(orig conntrack.Tuple) (conntrack.Flow, error)
	GetReply(reply conntrack.Tuple) (conntrack.Flow, error)
}

// Auditor writes down what users do; *audit.Log is one. Write does not wait.
// Failing says why it cannot write, or nil. Off says that there is nothing to write
// to, so that no event has to be made.
type Auditor interface {
	Write(audit.Event)
	Off() bool
	Failing() error
}

// Options is what a Server needs to run.
type Options struct {
	Firewall Firewall
	Flows    Flows
	Mark     uint32 // of our connections in conntrack
	Metrics  *Metrics
	Logger   *slog.Logger
	Audit    Auditor // nil: nobody

	// Original returns what the peer of a connection to the relay dialled; nil:
	// OriginalDestination, which asks the kernel.
	Original func(*net.TCPConn) (netip.AddrPort, error)
}

// A Server accepts control connections and owns their sessions.
type Server struct {
	Options
	pinholes   *pinholes
	door       *door
	relayPorts *relayPorts
	relays     relays
	ledger     *ledger
	meter      meter // of all data connections
	lastID     atomic.Uint64
	tracers    atomic.Pointer[[]*tracer] // nil: nobody traces

	transferring atomic.Int64 // data commands that wait for their final reply

	reloading sync.Mutex // held while other settings are made; mu comes behind it

	mu        sync.Mutex // guards what follows
	admits    admission
	settings  Settings
	listeners map[netip.AddrPort]*listener
	services  map[string]*service
	sessions  map[*session]struct{}
	running   sync.WaitGroup // one per session, and one per relayed data connection
	accepting sync.WaitGroup // one per listener
}

// NewServer returns a Server that does nothing yet.
func NewServer(o Options) *Server {
	if o.Original == nil {
		o.Original = OriginalDestination
	}
	if o.Audit == nil {
		o.Audit = (*audit.Log)(nil) // takes all and writes nothing
	}
	ports := &relayPorts{}
	s := &Server{
		Options:    o,
		pinholes:   newPinholes(o, ports),
		door:       newDoor(),
		relayPorts: ports,
		listeners:  map[netip.AddrPort]*listener{},
		services:   map[string]*service{},
		sessions:   map[*session]struct{}{},
	}
	s.ledger = newLedger(s)
	return s
}

// Reload begins to serve, or makes new sessions run on other settings. Listeners are opened and
// closed as these say; on an error nothing changes. Running sessions keep the
// settings that they began with.
func (s *Server) Reload(settings Settings) error {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	s.mu.Lock()
	before := s.services
	s.mu.Unlock()
	services, err := s.build(settings, before) // files and names may take their time
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admits == goesDown {
		return ErrDraining
	}
	var opened []*listener
	for _, svc := range services {
		for _, at := range svc.Listen {
			if s.listeners[at] != nil {
				continue
			}
			l, err := listen(at)
			if err != nil {
				for _, l := range opened {
					_ = l.Close()
				}
				return fmt.Errorf("service %s: %w", svc.Name, err)
			}
			opened = append(opened, l)
		}
	}
	s.showBackends(services)
	s.showCertificates(services)
	s.settings, s.services = settings, services
	s.door.set(settings)
	s.Metrics.setSessionsLimit(s.door.limit())
	s.swapListeners(opened)
	return nil
}

// swapListeners hands the listeners to the services of s.settings, starts the
// new ones and closes those that no service wants. The caller holds mu.
func (s *Server) swapListeners(opened []*listener) {
	for _, l := range opened {
		s.listeners[l.at] = l
	}
	wanted := map[netip.AddrPort]bool{}
	for _, svc := range s.services {
		for _, at := range svc.Listen {
			wanted[at] = true
			s.listeners[at].service.Store(svc)
		}
	}
	for at, l := range s.listeners {
		if !wanted[at] {
			delete(s.listeners, at)
			_ = l.Close()
		}
	}
	for _, l := range opened {
		s.accepting.Go(func() { s.accept(l) })
	}
}

// Run keeps what a server does besides its sessions, until ctx ends: it renews
// the pinholes of transfers that wait to begin, notices expired ones, and
// looks whether a backend that was down is back.
func (s *Server) Run(ctx context.Context) error {
	var books sync.WaitGroup
	books.Go(func() { s.ledger.run(ctx) })
	defer books.Wait()
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	nextProbe, nextResolve := time.Now(), time.Now().Add(resolveEvery)
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			s.pinholes.tick(now)
			s.door.tick(now)
			if now.After(nextProbe) {
				s.probeBackends(ctx)
				s.refreshCredentials()
				s.showShares()
				s.relays.tick(now)
				nextProbe = time.Now().Add(probeEvery)
			}
			if now.After(nextResolve) {
				s.resolveAll(ctx)
				nextResolve = time.Now().Add(resolveEvery)
			}
		}
	}
}

const (
	tickEvery  = 100 * time.Millisecond
	probeEvery = 10 * time.Second
)

// Drain stops accepting, ends the sessions that do nothing, and waits for the
// running transfers of the others as long as their services say. When it
// returns no session and none of their pinholes is left.
func (s *Server) Drain() {
	s.mu.Lock()
	s.admit(goesDown)
	for at, l := range s.listeners {
		delete(s.listeners, at)
		_ = l.Close()
	}
	longest := time.Duration(0)
	for _, c := range s.settings.Services {
		longest = max(longest, c.Timeouts.Drain)
	}
	for sess := range s.sessions {
		go sess.drain()
	}
	s.mu.Unlock()
	cut := time.AfterFunc(longest+lingers, s.relays.cut) // one may outlive its session
	s.running.Wait()
	cut.Stop()
	s.relayPorts.close()
	s.accepting.Wait()
}

// Abandon ends what Drain waits for: all sessions are cut, with what the relay
// carries for them, and written down as they are. It waits for peers no longer
// than a moment. What the kernel carries goes on.
func (s *Server) Abandon() {
	all := s.snapshot()
	for _, sess := range all {
		go sess.abandon()
	}
	s.relays.cutThose(func(sess *session) bool { return !slices.Contains(all, sess) }) // which outlive their sessions
	ended := make(chan struct{})
	go func() { defer close(ended); s.running.Wait() }()
	select {
	case <-ended:
	case <-time.After(lingers / 2):
	}
}

// Connected says that conntrack has an entry of a connection that was taken to
// another place than it dialled: a pinhole has admitted it.
func (s *Server) Connected(f conntrack.Flow) {
	if p := s.pinholes.connected(f.Orig.Src.Addr(), f.Orig.Dst, f.Reply.Src); p != nil {
		s.ledger.opened(p, f, time.Now())
	}
}

// CloseAll closes every pinhole of every session and returns how many there
// were. Sessions go on; their next transfers set up new ones.
func (s *Server) CloseAll() int { return s.pinholes.closeAll() }

// add registers a session. It reports false when the server takes none.
func (s *Server) add(sess *session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.admits != takesSessions {
		return false
	}
	s.sessions[sess] = struct{}{}
	s.running.Add(1)
	sess.traceEvent(eventBegin, "")
	return true
}

func (s *Server) remove(sess *session) {
	s.mu.Lock()
	delete(s.sessions, sess)
	sess.traceEvent(eventEnd, string(sess.ended))
	s.mu.Unlock()
	s.running.Done()
}

// Settings returns what new sessions run on.
func (s *Server) Settings() Settings {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settings
}
