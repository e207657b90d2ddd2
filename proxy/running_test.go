package proxy

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/alg"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"
)

// Of a transfer that runs, explain says what holds it up.
func TestExplainWhatRuns(t *testing.T) {
	d := newGateway(t).loggedIn()
	at := d.passive()
	d.command("LIST")
	d.firewall.dialledInVain(nft.Stray{From: netip.MustParseAddr(otherClient), At: at, Seen: time.Now()})
	for _, ask := range []func() (api.Explanation, error){
		func() (api.Explanation, error) { return d.Explain("1") },
		func() (api.Explanation, error) { return d.Explain("1.1") },
		func() (api.Explanation, error) { return d.ExplainClient(netip.MustParseAddr(clientAddr)) },
	} {
		e, err := ask()
		if err != nil || !e.Pending || e.Cause != string(cause.WrongPeer) || e.Verb != "LIST" || e.Advice == "" {
			t.Errorf("explained: %+v, %v", e, err)
		}
	}
	d.carries(conntrack.Established, 0, 4711)
	if e, err := d.Explain("1.1"); err != nil || e.Cause != "" || e.Bytes != 4711 || !strings.Contains(e.Sentence, "4711 bytes") {
		t.Errorf("explained: %+v, %v", e, err)
	}
	for _, id := range []string{"2", "1.2", "nonsense", "", "1.1.1"} {
		if e, err := d.Explain(id); err == nil {
			t.Errorf("%q is explained: %+v", id, e)
		}
	}
	d.reply("226 done")
	d.leave()
}

// Nothing moves for timeouts.stalled: the transfer and its session end.
func TestAStalledTransfer(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Stalled = short }).loggedIn()
	d.passive()
	c := d.carries(conntrack.Established, 0, 12)
	d.command("RETR a")
	d.reply("150 here")
	went := time.Now()
	d.eventually("the clock has gone on", func() bool { return time.Since(went) > 2*short })
	d.Swept([]conntrack.Flow{c})
	c.Bytes[1], c.Packets[1], c.Packets[0] = c.Bytes[1]+1000, c.Packets[1]+1, c.Packets[0]+1 // it moves
	d.Swept([]conntrack.Flow{c})
	c.Bytes[1], c.Packets[1] = c.Bytes[1]+1000, c.Packets[1]+1 // nobody has this
	d.ledger.swept([]conntrack.Flow{c}, time.Now().Add(short/2))
	for i := range c.Bytes { // the client does not read, and is asked whether it does now
		c.Bytes[i], c.Packets[i] = c.Bytes[i]+52, c.Packets[i]+1
	}
	d.ledger.swept([]conntrack.Flow{c}, time.Now().Add(2*short))
	d.wantTimeout("421 Nothing moved on the data connection for 150ms: closing the control connection", errStalled.Error())
	if got := d.transfers(1)[0]; got.Cause != string(cause.Stalled) {
		t.Errorf("the record is %+v", got)
	}
	d.eventually("the connection is cut", func() bool { return d.firewall.wasCut(c.Orig) })
}

// cut = true: what runs ends with its session.
func TestCut(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Cut = true }).loggedIn()
	d.active()
	c := d.carries(conntrack.Established, 12, 0)
	d.command("RETR a")
	d.reply("150 here")
	d.leave()
	if !d.firewall.wasCut(c.Orig) {
		t.Error("the connection was not cut")
	}
}

// Sweeps make the throughput of the last minutes.
func TestThroughput(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	c := d.carries(conntrack.Established, 0, 0)
	d.command("RETR a")
	d.reply("150 here")
	now := time.Now()
	for i := range maxSamples + 5 {
		c.Bytes[1] += 1000
		d.ledger.swept([]conntrack.Flow{c}, now.Add(time.Duration(i)*2*time.Second))
	}
	all := d.Throughput()
	if len(all) != maxSamples {
		t.Fatalf("%d samples, want %d", len(all), maxSamples)
	}
	for i, s := range all[1:] {
		if s.ToClients != 500 || s.ToServers != 0 || s.Sessions != 1 || s.Transfers != 1 {
			t.Fatalf("sample %d is %+v", i, s)
		}
	}
	if running := d.session().runningTransfers(time.Now()); len(running) != 1 || running[0].Bytes == 0 || running[0].Rate != 500 || running[0].Mode != alg.ModePASV.String() {
		t.Errorf("running: %+v", running)
	}
	d.reply("426 broken")
	d.leave()
}

// News of a connection were lost, and it has ended since.
func TestLostNews(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	p := d.only()
	c := admitted(p.rule.From, p.rule.At, p.rule.To)
	c.State, c.Packets[1], c.Bytes[1] = conntrack.TimeWait, 2, 2*52+8+44
	d.flows.carry(c)
	d.command("RETR a")
	d.reply("150 here")
	d.Swept([]conntrack.Flow{c})
	d.reply("226 done")
	if got := d.transfers(1)[0]; got.Bytes != 44 || got.Connect < 0 {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}

// audit.on_error = "refuse": nobody is served while nothing can be written down.
func TestNobodyIsServedUnaudited(t *testing.T) {
	g := newGateway(t, func(_ *Settings, s *Service) { s.OnlyAudited = true })
	d := g.loggedIn()
	g.audit.fail(errors.New("no space left"))
	g.dial(clientAddr).want(strings.TrimSpace(refusalTexts[unaudited]))
	if why := g.Ready(); len(why) != 1 || !strings.Contains(why[0].Error(), "no space left") {
		t.Errorf("Ready says %v", why)
	}
	d.command("NOOP") // who is there stays
	d.reply("200 ok")
	g.audit.fail(nil)
	g.loggedInFrom(otherClient).leave()
	d.leave()
}
