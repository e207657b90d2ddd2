package proxy

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/proxy/cause"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// busyDay leaves something in every metric, and names of the user's everywhere
// where a user can write one.
func busyDay(t *testing.T) *gateway {
	nobody := down(t)
	g := newGateway(t, func(_ *Settings, s *Service) { s.DenyClients = prefixes(otherClient + "/32") })
	d := g.loggedIn()
	d.passive()
	d.command("RETR zebra.txt")
	d.connected()
	d.reply("150 zebra.txt follows", "226 done")
	d.active()
	d.command("STOR zebra.txt")
	d.reply("550 no zebra here")
	d.command("XZEBRA 1")
	d.reply("502 zebra")
	d.refused("PORT 10,0,0,9,156,64", "504 The data address must be the address that you connect from")
	d.client.send("\x1b[31mzebra")
	d.client.line()
	d.command("FEAT")
	d.server.send("211-Features:", " AUTH TLS", " SIZE", "211 End")
	d.client.want("211-Features:", " SIZE", " EPRT", " EPSV", "211 End")
	d.command("USER zebra\x1b[31m")
	d.reply("331 zebra")
	d.command("PASS zebra")
	d.reply("530 zebra\x07")
	d.firewall.hook(&d.firewall.onOpen, panics)
	d.logIn()
	d.client.send("PORT 127,0,0,1,156,64")
	d.client.want(internalError)
	d.client.Close()
	g.wantEnded(panicked)
	g.firewall.hook(&g.firewall.onOpen, func(nft.Pinhole) error { return nft.ErrFull })
	d = g.loggedIn()
	d.refused("PORT 127,0,0,1,156,64", noPinhole)
	d.leave()
	g.wantTurnedAway(otherClient, "421 Your address may not use this service", denied)
	g.reload(func(s *Service) { s.Backends = []netip.AddrPort{nobody} })
	client := g.dial(clientAddr)
	client.want(cannotBeReached)
	client.Close()
	g.wantEnded(noBackend)
	return g
}

func TestMetricsLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(busyDay(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// labels are all values that each label may have, by metric where they differ.
func labels(g *gateway) map[string][]string {
	all := map[string][]string{
		"service": {"files"}, "mode": {"PASV", "EPSV", "PORT", "EPRT", "AUTH"}, "outcome": pinholeOutcomes,
		"direction": {"download", "upload", "listing"}, "class": {"1yz", "2yz", "3yz", "4yz", "5yz", "6yz"},
		"backend": {fmt.Sprint(g.Settings().Services[0].Backends[0])},

		nameSessionsTotal + " result": nil, nameLogins + " result": {"ok", "failed"}, nameTransfers + " result": {"done", "failed"},
		nameHandshakes + " result": {"done", "failed"}, nameHandshakes + " connection": nil,
	}
	for _, c := range cause.All {
		all["cause"] = append(all["cause"], string(c))
	}
	for _, c := range connections {
		all[nameHandshakes+" connection"] = append(all[nameHandshakes+" connection"], string(c))
	}
	for _, o := range outcomes {
		all[nameSessionsTotal+" result"] = append(all[nameSessionsTotal+" result"], string(o))
	}
	for _, v := range alg.Verbs() {
		all["command"] = append(all["command"], v.String())
	}
	for _, r := range alg.Rewrites() {
		all["kind"] = append(all["kind"], r.String())
	}
	for _, r := range alg.Reasons() {
		all["reason"] = append(all["reason"], r.String())
	}
	for r := range refusalTexts {
		all["reason"] = append(all["reason"], string(r))
	}
	return all
}

func TestLabelsComeFromClosedSets(t *testing.T) {
	g := busyDay(t)
	known := labels(g)
	families, err := g.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				set := known[l.GetName()]
				if special, ok := known[f.GetName()+" "+l.GetName()]; ok {
					set = special
				}
				if !slices.Contains(set, l.GetValue()) {
					t.Errorf("%s has the label %s=%q, which is not one of %q", f.GetName(), l.GetName(), l.GetValue(), set)
				}
			}
		}
	}
}

// Every series of a service is there before anything has happened, so that
// rates begin at 0; a busy day adds none.
func TestAllSeriesExistFromTheStart(t *testing.T) {
	count := func(r *prometheus.Registry) int {
		n, err := testutil.GatherAndCount(r)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if before, after := count(newGateway(t).registry), count(busyDay(t).registry); before != after {
		t.Errorf("%d series at the start, %d after a busy day", before, after)
	}
}

func TestMetricsCount(t *testing.T) {
	m := busyDay(t).Metrics
	for name, tt := range map[string]struct {
		got  prometheus.Collector
		want float64
	}{
		"downloads done":      {m.transfers.WithLabelValues("files", "download", "done"), 1},
		"uploads failed":      {m.transfers.WithLabelValues("files", "upload", "failed"), 1},
		"logins":              {m.logins.WithLabelValues("files", "ok"), 3},
		"failed logins":       {m.logins.WithLabelValues("files", "failed"), 1},
		"227 rewritten":       {m.rewrites.WithLabelValues("files", "227"), 1},
		"PORT rewritten":      {m.rewrites.WithLabelValues("files", "PORT"), 1},
		"FEAT lines changed":  {m.rewrites.WithLabelValues("files", "FEAT"), 2},
		"passive, used":       {m.pinholesTotal.WithLabelValues("files", "PASV", "used"), 1},
		"active, closed":      {m.pinholesTotal.WithLabelValues("files", "PORT", "closed"), 1},
		"active, refused":     {m.pinholesTotal.WithLabelValues("files", "PORT", "refused"), 1},
		"bounces":             {m.refusals.WithLabelValues("files", "bounce"), 1},
		"denied":              {m.refusals.WithLabelValues("files", "denied"), 1},
		"OTHER commands":      {m.commands.WithLabelValues("files", "OTHER"), 2},
		"RETR":                {m.commands.WithLabelValues("files", "RETR"), 1},
		"sessions, panic":     {m.sessionsTotal.WithLabelValues("files", "panic"), 1},
		"sessions, client":    {m.sessionsTotal.WithLabelValues("files", "client_closed"), 1},
		"sessions, backend":   {m.sessionsTotal.WithLabelValues("files", "backend"), 1},
		"preliminary replies": {m.replies.WithLabelValues("files", "1yz"), 1},
	} {
		if got := testutil.ToFloat64(tt.got); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The log has a line per session with what became of it, and nothing that a
// user wrote: no password, no file name, no control character.
func TestLog(t *testing.T) {
	g := busyDay(t)
	log := g.log.String()
	for _, secret := range []string{"s3cret", "anna", "zebra", "\x1b", "\\u001b", "\\x1b", "\x07", "[31m"} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q:\n%s", secret, log)
		}
	}
	for _, r := range log {
		if r < ' ' && r != '\n' {
			t.Errorf("the log has the control character %q", r)
		}
	}
	if n := strings.Count(log, `"msg":"session ended"`); n != 3 {
		t.Errorf("%d sessions have ended, want 3:\n%s", n, log)
	}
}

func TestLogOfASession(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("QUIT")
	d.reply("221 bye")
	d.server.Close()
	d.client.wantEnd()
	client, server := d.client.LocalAddr().String(), d.server.LocalAddr().String()
	d.client.Close()
	record := d.wantEnded(quit)
	for key, want := range map[string]any{
		"level": slog.LevelInfo.String(), "sid": 1., "service": "files", "client": client, "server": server, "result": "quit",
	} {
		if record[key] != want {
			t.Errorf("%s is %v, want %v", key, record[key], want)
		}
	}
	if _, ok := record["cause"]; ok {
		t.Errorf("a session that ended well has a cause: %v", record)
	}
}

// At the level info a session is one line and each failed transfer another.
func TestLogAtInfo(t *testing.T) {
	g := newGateway(t)
	g.level.Set(slog.LevelInfo)
	d := g.loggedIn()
	d.refused("PASV x", "501 The gateway cannot read the argument")
	d.passive()
	d.command("RETR a")
	d.reply("550 no")
	d.leave()
	g.eventually("the failed transfer is logged, with its cause", func() bool {
		return strings.Contains(g.log.String(), `"msg":"transfer failed"`) && strings.Contains(g.log.String(), `"cause":"server_error"`)
	})
	if lines := strings.Count(g.log.String(), "\n"); lines != 2 {
		t.Errorf("%d lines, want 2:\n%s", lines, g.log)
	}
}

func TestPortsOfTheGreediestClient(t *testing.T) {
	g := newGateway(t)
	greedy, other := g.loggedIn(), g.loggedInFrom(otherClient)
	second := g.loggedIn()
	for _, d := range []*dialogue{greedy, second, other} {
		d.passive()
	}
	g.showShares()
	if n := testutil.ToFloat64(g.Metrics.portsClient.WithLabelValues("files")); n != 2 {
		t.Errorf("%v ports, want 2", n)
	}
	for _, d := range []*dialogue{greedy, second, other} {
		d.leave()
	}
	g.showShares()
	if n := testutil.ToFloat64(g.Metrics.portsClient.WithLabelValues("files")); n != 0 {
		t.Errorf("%v ports, want none", n)
	}
}
