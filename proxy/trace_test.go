package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

// trail is what a trace has shown.
type trail struct {
	g    *gateway
	stop context.CancelFunc
	done chan error

	mu     sync.Mutex
	events []api.Traced
}

// follow traces clients until the test ends, or stop. When it returns the trace is at work.
func (g *gateway) follow(clients string) *trail {
	g.t.Helper()
	ctx, stop := context.WithCancel(g.t.Context())
	t := &trail{g: g, stop: stop, done: make(chan error, 1)}
	before := len(g.allTracers())
	go func() {
		t.done <- g.Trace(ctx, netip.MustParsePrefix(clients), func(e api.Traced) error {
			t.mu.Lock()
			defer t.mu.Unlock()
			t.events = append(t.events, e)
			return nil
		})
	}()
	g.eventually("the trace is at work", func() bool { return len(g.allTracers()) > before })
	return t
}

// brief is what has been shown, as "event session from text -> sent".
func (t *trail) brief() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []string
	for _, e := range t.events {
		text := inBrief([]api.Line{e.Line})[0]
		all = append(all, strings.TrimSpace(fmt.Sprint(e.Event, " ", e.Session, " ", text)))
	}
	return all
}

// want waits for as many events, which must be these.
func (t *trail) want(want ...string) {
	t.g.t.Helper()
	t.g.eventually("as many events", func() bool { return len(t.brief()) >= len(want) })
	if diff := cmp.Diff(want, t.brief()); diff != "" {
		t.g.t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTrace(t *testing.T) {
	g := newGateway(t, onePort, func(_ *Settings, s *Service) { s.DenyClients = prefixes("127.0.0.9/32") })
	first := g.greeted()
	one, all := g.follow(clientAddr+"/32"), g.follow("127.0.0.0/24")
	first.command("PASS s3cret")
	first.reply("530-No:", " not s3cret", "530 s3cret is wrong")
	other := g.greetedFrom(otherClient)
	first.command("QUIT")
	first.reply("221 bye")
	first.server.Close()
	first.client.wantEnd()
	first.client.Close()
	g.wantEnded(quit)
	late := g.greeted()
	late.logIn()
	late.passive()
	g.wantTurnedAway("127.0.0.9", "421 Your address may not use this service", denied)
	one.want(
		"begin 1",
		"line 1 client PASS ****", "line 1 server 530-No:", "line 1 server [text hidden]", "line 1 server 530 [text hidden]",
		"line 1 client QUIT", "line 1 server 221 bye", "end 1 quit",
		"begin 3", "line 3 server 220 ready", "line 3 client USER anna", "line 3 server 331 password",
		"line 3 client PASS ****", "line 3 server 230 logged in",
		"line 3 client PASV",
		"line 3 server 227 Entering Passive Mode (127,0,0,3,7,208). -> 227 Entering Passive Mode (127,0,0,2,238,72).",
	)
	all.g.eventually("the other one is there too", func() bool {
		text := strings.Join(all.brief(), "\n")
		return strings.Contains(text, "begin 2\nline 2 server 220 ready") &&
			strings.Contains(text, "refused 0 gateway 421 Your address may not use this service")
	})
	other.leave()
	all.g.eventually("its end too", func() bool { return strings.Contains(strings.Join(all.brief(), "\n"), "end 2 client_closed") })
	one.stop()
	all.stop()
	if err := errors.Join(<-one.done, <-all.done); err != nil {
		t.Errorf("the trace ended with %v", err)
	}
	if g.tracers.Load() != nil {
		t.Error("sessions still see tracers")
	}
}

// Who reads a trace slowly, or not at all, holds no session up, and learns how much was lost.
func TestTraceThatIsReadSlowly(t *testing.T) {
	g := newGateway(t)
	d := g.loggedIn()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	reads, events, done := make(chan struct{}), make(chan api.Traced, 10*maxTraced), make(chan error, 1)
	go func() {
		done <- g.Trace(ctx, netip.MustParsePrefix("127.0.0.0/8"), func(e api.Traced) error {
			events <- e
			<-reads
			return nil
		})
	}()
	if e := <-events; e.Event != eventBegin {
		t.Fatalf("first comes %+v", e)
	}
	const said = 2 * maxTraced
	for i := range said / 2 {
		d.command(fmt.Sprint("CWD ", i))
		d.reply(fmt.Sprint("250 ", i))
	}
	close(reads)
	for i := range maxTraced {
		want := fmt.Sprint("CWD ", i/2)
		if i%2 == 1 {
			want = fmt.Sprint("250 ", i/2)
		}
		if e := <-events; e.Event != eventLine || e.Text != want {
			t.Fatalf("event %d is %+v, want %s", i, e, want)
		}
	}
	if e, want := <-events, fmt.Sprint(said-maxTraced, " events"); e.Event != eventDropped || e.Text != want {
		t.Errorf("then comes %+v, want %s dropped", e, want)
	}
	d.command("NOOP")
	if e := <-events; e.Text != "NOOP" {
		t.Errorf("then comes %+v, want what is said now", e)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// A reader that fails ends its trace, and no other.
func TestTraceWhoseReaderFails(t *testing.T) {
	g := newGateway(t)
	gone := errors.New("gone")
	other := g.follow("0.0.0.0/0")
	failed := make(chan error, 1)
	go func() {
		failed <- g.Trace(t.Context(), netip.MustParsePrefix("127.0.0.1/32"), func(api.Traced) error { return gone })
	}()
	g.eventually("both are at work", func() bool { return len(g.allTracers()) == 2 })
	g.greeted()
	if err := <-failed; !errors.Is(err, gone) {
		t.Errorf("it ends with %v", err)
	}
	other.want("begin 1", "line 1 server 220 ready")
}

// Traces come and go while sessions speak.
func TestTracesComeAndGo(t *testing.T) {
	g := newGateway(t)
	d := g.loggedIn()
	var tracing sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 4 {
		tracing.Go(func() {
			for ctx.Err() == nil {
				once, enough := context.WithCancel(ctx)
				err := g.Trace(once, netip.MustParsePrefix("127.0.0.1/32"), func(api.Traced) error { enough(); return nil })
				if enough(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		d.command("NOOP")
		d.reply("200 ok")
	}
	stop()
	tracing.Wait()
	if g.tracers.Load() != nil {
		t.Error("sessions still see tracers")
	}
}
