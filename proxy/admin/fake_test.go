package admin

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ftpgate/proxy/api"
)

// fake is a daemon that says what it is told to, and writes down what it is asked.
type fake struct {
	mu           sync.Mutex // guards what follows
	status       api.Status
	sessions     []api.Session
	pinholes     []api.Pinhole
	failures     []api.Failure
	explanations map[string]api.Explanation
	throughput   []api.Sample
	traced       []api.Traced
	err          error // of the next action
	asked        []string
}

func (f *fake) say(format string, args ...any) {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
}

// questions are what it was asked.
func (f *fake) questions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked)
}

func (f *fake) Status() api.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fake) Sessions(filter api.Filter) []api.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("sessions %+v", filter)
	return f.sessions
}

func (f *fake) Pinholes() []api.Pinhole {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.pinholes
}

func (f *fake) Failures(filter api.Filter) []api.Failure {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("failures %+v", filter)
	return f.failures
}

func (f *fake) Explain(id string) (api.Explanation, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok := f.explanations[id]
	if !ok {
		return e, fmt.Errorf("transfer %s: %w, or no longer", id, api.ErrUnknown)
	}
	return e, nil
}

func (f *fake) ExplainClient(client netip.Addr) (api.Explanation, error) {
	return f.Explain(client.String())
}

func (f *fake) Throughput() []api.Sample {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.throughput
}

func (f *fake) Kill(ctx context.Context, filter api.Filter) (api.Ended, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("kill %+v by %d", filter, UID(ctx))
	return api.Ended{}, f.err
}

func (f *fake) Drain(ctx context.Context, on bool) (api.Drained, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("drain %t by %d", on, UID(ctx))
	return api.Drained{Draining: on, Sessions: 3}, f.err
}

func (f *fake) Reload(ctx context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("reload by %d", UID(ctx))
	return f.err
}

func (f *fake) CloseAll(ctx context.Context) (api.Closed, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.say("close-all by %d", UID(ctx))
	return api.Closed{Closed: 4}, f.err
}

// Trace passes on what there is, and then waits as the real one does.
func (f *fake) Trace(ctx context.Context, client netip.Prefix, pass func(api.Traced) error) error {
	f.mu.Lock()
	f.say("trace %v", client)
	traced, err := f.traced, f.err
	f.mu.Unlock()
	for _, t := range traced {
		if err := pass(t); err != nil {
			return err
		}
	}
	if err == nil {
		<-ctx.Done()
	}
	return err
}

// moment is when the fixtures are.
var moment = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// example is a daemon with one of everything.
func example() *fake {
	failure := api.Failure{
		ID: "7.2", Time: moment.Add(-90 * time.Second), Session: 7, Service: "files", Client: "198.51.100.7:40312", User: "demo",
		Backend: "10.0.0.5:21", Verb: "RETR", Path: "/pub/big.iso", Direction: "download", Mode: "PASV",
		Reply: "425 Failed to establish connection.", Bytes: 0, Cause: "no_syn",
		Sentence: "The client never dialled 198.51.100.1:61004.",
		Advice:   "Something before the client changed or blocked the address in the 227.",
	}
	hole := api.Pinhole{
		Session: 7, Service: "files", Mode: "PASV", From: "198.51.100.7", At: "198.51.100.1:61004", To: "10.0.0.5:40001",
		Opened: moment.Add(-110 * time.Second), Remaining: 12.5,
	}
	return &fake{
		status: api.Status{
			Version: "v1.2.3", Now: moment, Started: moment.Add(-50 * time.Hour), Config: "/etc/ftpgate/ftpgate.toml",
			ConfigLoaded: moment.Add(-2 * time.Hour), Table: "ftpgate", TableOwned: true, Draining: true,
			NotReady: []string{"draining: sessions go on, new ones are refused (ftpgate undrain ends that)"}, Sessions: 1, SessionsLimit: 10000, Transfers: 1, Pinholes: 1,
			Relays: 1, Failures: 1,
			Services: []api.Service{{
				Name: "files", Mode: "reverse", TLS: "terminate", Listen: []string{"198.51.100.1:21"},
				Backends: []api.Backend{{Address: "10.0.0.5:21", Up: true}, {Address: "10.0.0.6:21"}},
				Sessions: 1, Transfers: 1, Pinholes: 1, Done: 1204, Failed: 1, ToClients: 8 << 30, ToServers: 3 << 20,
			}},
		},
		sessions: []api.Session{{
			ID: 7, Service: "files", Client: "198.51.100.7:40312", User: "demo", Gateway: "198.51.100.1:21", Backend: "10.0.0.5:21",
			Protection: "tls", Phase: "open", Doing: "RETR /pub/big.iso", Began: moment.Add(-5 * time.Minute), Idle: 3.5,
			Transfers: []api.Running{{
				ID: "7.3", Verb: "RETR", Path: "/pub/big.iso", Direction: "download", Mode: "EPSV", Began: moment.Add(-4 * time.Second),
				Connected: true, Relayed: true, Bytes: 96 << 20, Rate: 24.5e6,
			}},
			Done: 1, Failed: 1, ToClient: 900, ToServer: 80, Busy: true,
		}},
		pinholes: []api.Pinhole{hole},
		failures: []api.Failure{failure},
		explanations: map[string]api.Explanation{"7.2": {
			Failure:  failure,
			Evidence: []string{"the pinhole 198.51.100.1:61004 was open for 20 s", "nobody dialled it"},
			Pinholes: []api.Fate{{Pinhole: hole, Fate: "expired", Ended: moment.Add(-90 * time.Second)}},
			Lines: []api.Line{
				{Time: moment.Add(-111 * time.Second), From: "client", Text: "PASV"},
				{Time: moment.Add(-110 * time.Second), From: "server", Text: "227 Entering Passive Mode (10,0,0,5,156,65)",
					Sent: "227 Entering Passive Mode (198,51,100,1,238,76)"},
			},
		}},
		throughput: []api.Sample{
			{Time: moment.Add(-2 * time.Second), ToClients: 2e6, ToServers: 1500, Sessions: 1, Transfers: 1},
			{Time: moment, ToClients: 2.5e6, ToServers: 0, Sessions: 1, Transfers: 1},
		},
	}
}
