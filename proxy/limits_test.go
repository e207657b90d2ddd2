package proxy

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// wantTurnedAway connects a client that gets a word and no session.
func (g *gateway) wantTurnedAway(from, word string, why refusal) {
	g.t.Helper()
	before := testutil.ToFloat64(g.Metrics.refusals.WithLabelValues("files", string(why)))
	client := g.dial(from)
	client.want(word)
	client.wantEnd()
	if n := testutil.ToFloat64(g.Metrics.refusals.WithLabelValues("files", string(why))) - before; n != 1 {
		g.t.Errorf("%v refusals, want 1", n)
	}
}

func TestLimitsTurnAway(t *testing.T) {
	tests := map[string]struct {
		change func(*Settings, *Service)
		word   string
		why    refusal
	}{
		"sessions": {
			func(s *Settings, _ *Service) { s.Limits.Sessions = 1 },
			"421 Too many users: try again later", tooMany,
		},
		"sessions of the service": {
			func(s *Settings, svc *Service) { s.Limits.Sessions, svc.Limits.Sessions = 100, 1 },
			"421 Too many users: try again later", tooMany,
		},
		"sessions per client": {
			func(_ *Settings, svc *Service) { svc.Limits.SessionsPerClient = 1 },
			"421 Too many connections from your address", tooManyClient,
		},
		"new sessions per client": {
			func(_ *Settings, svc *Service) { svc.Limits.NewPerClient = Rate{1, time.Hour} },
			"421 Too many new connections from your address: try again in a minute", tooFastClient,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, tt.change)
			d := g.loggedIn()
			g.wantTurnedAway(clientAddr, tt.word, tt.why)
			d.command("NOOP") // the session that there is goes on
			d.reply("200 ok")
		})
	}
}

func TestDeniedClient(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) { s.DenyClients = prefixes(otherClient + "/32") })
	g.wantTurnedAway(otherClient, "421 Your address may not use this service", denied)
	g.loggedIn()
}

// Who has left makes room for the next.
func TestSessionsMakeRoom(t *testing.T) {
	g := newGateway(t, func(s *Settings, svc *Service) { s.Limits.Sessions, svc.Limits.SessionsPerClient = 1, 1 })
	for range 3 {
		g.loggedIn().leave()
		g.eventually("the door has seen it leave", func() bool {
			g.door.mu.Lock()
			defer g.door.mu.Unlock()
			return g.door.sessions == 0
		})
	}
}
