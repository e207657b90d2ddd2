package proxy

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"ftpgate/nft"
	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/audit"
	"ftpgate/proxy/cause"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// carries lets the only pinhole have its connection, which conntrack then shows
// in a state and with payload in its two directions.
func (d *dialogue) carries(state conntrack.TCPState, payload ...uint64) conntrack.Flow {
	d.t.Helper()
	p := d.only()
	c := admitted(p.rule.From, p.rule.At, p.rule.To)
	c.State, c.Status = state, conntrack.DNAT|conntrack.SeenReply|conntrack.Assured
	for i, n := range payload {
		c.Packets[i], c.Bytes[i] = 4, n+4*52+8
	}
	d.flows.carry(c)
	d.Connected(c)
	return c
}

func TestARecordOfADownload(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("TYPE I")
	d.reply("200 ok")
	at := d.passive()
	c := d.carries(conntrack.TimeWait, 0, 5000)
	d.command("RETR a file")
	d.reply("150 here (5000 bytes)")
	d.reply("226 done")
	got := d.transfers(1)[0]
	if got.Number != 1 || got.Verb != "RETR" || got.Path != "a file" || got.Mode != "PASV" || got.Direction != "download" || !got.Done ||
		got.Bytes != 5000 || got.Source != audit.ServerText || !slices.Equal(got.Replies, []int{150, 226}) || got.Cause != "" || got.Connect < 0 ||
		got.ASCII || got.Relayed || got.User != "anna" || got.Service != "files" {
		t.Errorf("the record is %+v", got)
	}
	if got.ClientSide != (audit.Flow{Src: c.Orig.Src, Dst: at}) || got.ServerSide != (audit.Flow{Src: c.Reply.Dst, Dst: c.Reply.Src}) {
		t.Errorf("the connections are %v and %v", got.ClientSide, got.ServerSide)
	}
	if n := testutil.ToFloat64(d.Metrics.transferBytes.WithLabelValues("files", "download")); n != 5000 {
		t.Errorf("the metric counts %v bytes", n)
	}
	if n := len(d.Failures(api.Filter{})); n != 0 {
		t.Errorf("%d failures", n)
	}
	d.leave()
}

// In active mode who dials is the server, and an upload goes to it.
func TestARecordOfAnActiveUpload(t *testing.T) {
	d := newGateway(t).loggedIn()
	at := d.active()
	d.carries(conntrack.Close, 0, 700)
	d.command("STOR up")
	d.reply("150 go on")
	d.reply("226 done")
	got := d.transfers(1)[0]
	if got.Mode != "PORT" || got.Direction != "upload" || got.Bytes != 700 || got.Source != audit.Conntrack || !got.ASCII || got.ServerSide.Dst != at {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}

// A final reply may overtake the last bytes: the record waits for them.
func TestARecordWaitsForTheLastByte(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	c := d.carries(conntrack.Established, 0, 10)
	d.command("RETR a")
	d.reply("150 here")
	d.reply("226 done, as far as I am concerned")
	d.eventually("conntrack has been asked", func() bool { return d.flows.gets() > 2 })
	c.State, c.Bytes[1] = conntrack.LastAck, c.Bytes[1]+90
	d.flows.carry(c)
	if got := d.transfers(1)[0]; got.Bytes != 100 || !got.Done {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}

// Several files over one connection (MODE B) share its bytes.
func TestFilesOfOneConnection(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("MODE B")
	d.reply("200 ok")
	d.passive()
	c := d.carries(conntrack.FinWait, 0, 100)
	for i, total := range []uint64{100, 350} {
		c.Bytes[1] = total + 4*52 + 8
		d.flows.carry(c)
		d.command("RETR a")
		d.reply("150 here")
		d.reply("250 done")
		if got := d.transfers(i + 1)[i]; got.Bytes != []uint64{100, 250}[i] || got.Mode != "PASV" {
			t.Errorf("record %d is %+v", i, got)
		}
	}
	d.leave()
}

// What the gateway refuses is a failed transfer, and what the client makes of
// it has the same cause.
func TestASetUpThatIsRefused(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.refused("PORT 127,0,0,9,200,1", "504 The data address must be the address that you connect from")
	d.refused("RETR it", "425 No data connection was set up: send PASV, EPSV, PORT or EPRT first")
	for i, want := range []string{"PORT", "RETR"} {
		if got := d.transfers(2)[i]; got.Verb != want || got.Path != []string{"", "it"}[i] || got.Done || got.Cause != string(cause.Bounce) {
			t.Errorf("record %d is %+v", i, got)
		}
	}
	d.command("EPSV")
	d.server.send("229 Entering Extended Passive Mode (|||21|)")
	d.client.want("425 The server's answer names no usable data port")
	if got := d.transfers(3)[2]; got.Verb != "EPSV" || got.Cause != string(cause.BackendBadAddress) {
		t.Errorf("the record is %+v", got)
	}
	failed := d.Failures(api.Filter{Client: clientAddr, User: "anna", Service: "files"})
	if len(failed) != 3 || failed[0].ID != "1.3" || failed[0].Advice == "" || failed[2].Cause != "bounce" {
		t.Errorf("failures %+v", failed)
	}
	if got := d.Failures(api.Filter{User: "otto"}); len(got) != 0 {
		t.Errorf("otto's failures: %+v", got)
	}
	// A client that learns which modes there are has not failed.
	d.refused("EPRT |2|::1|2000|", "522 Network protocol not supported, use (1)")
	d.passive()
	d.leave()
	if got := d.transfers(3); len(got) != 3 {
		t.Error(got)
	}
}

// The evidence of the kernel decides between the causes of a connection that
// never came.
func TestWhoDialled(t *testing.T) {
	for name, test := range map[string]struct {
		from string
		want cause.Cause
	}{"nobody": {"", cause.NoSyn}, "somebody else": {otherClient, cause.WrongPeer}, "the client, too late": {clientAddr, cause.Late}} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t).loggedIn()
			at := d.passive()
			d.waited()
			d.command("RETR a")
			if test.from != "" {
				d.firewall.dialledInVain(nft.Stray{From: netip.MustParseAddr(test.from), At: at, Seen: time.Now()})
			}
			d.reply("425 cannot open data connection")
			got := d.transfers(1)[0]
			if got.Cause != string(test.want) || got.Bytes != 0 || got.Connect >= 0 {
				t.Errorf("the record is %+v", got)
			}
			if n := testutil.ToFloat64(d.Metrics.failures.WithLabelValues("files", string(test.want))); n != 1 {
				t.Errorf("the metric says %v", n)
			}
			e, err := d.Explain("1.1")
			if err != nil || e.Cause != string(test.want) || e.Pending || len(e.Pinholes) != 1 || e.Pinholes[0].At != at.String() || e.Pinholes[0].Fate != outcomeClosed {
				t.Errorf("explained: %+v, %v", e, err)
			}
			d.leave()
		})
	}
}

// waited lets the session's latest pinhole have been open for a while.
func (d *dialogue) waited() {
	s := d.session()
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.fates[len(s.fates)-1]
	p.opened = p.opened.Add(-10 * time.Second)
}

// A client that dials what an earlier PASV has announced is told so.
func TestTheClientDialsAnEarlierSetUp(t *testing.T) {
	d := newGateway(t).loggedIn()
	first := d.passive()
	second := d.passive()
	d.waited()
	d.firewall.dialledInVain(nft.Stray{From: netip.MustParseAddr(clientAddr), At: first, Seen: time.Now()})
	d.command("RETR a")
	d.reply("425 cannot open data connection")
	if got := d.transfers(1)[0]; got.Cause != string(cause.Late) || !strings.Contains(got.Detail, first.String()) || !strings.Contains(got.Detail, second.String()) {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}

// A server that says 425 at once has another reason than a client that does not dial.
func TestNoChanceToDial(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.command("RETR a")
	d.reply("425 resumed sessions are full")
	if got := d.transfers(1)[0]; got.Cause != string(cause.ServerError) {
		t.Errorf("the record is %+v", got)
	}
	d.leave()
}

// A SYN that met a reset leaves nothing in conntrack, one that met silence does.
func TestWhoRefused(t *testing.T) {
	for name, silent := range map[string]bool{"a reset": false, "silence": true} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t).loggedIn()
			d.passive()
			if silent {
				p := d.only()
				c := admitted(p.rule.From, p.rule.At, p.rule.To)
				c.State = conntrack.SynSent
				d.flows.carry(c)
				d.Connected(c)
			} else {
				d.connected()
			}
			d.command("LIST")
			d.reply("425 cannot open data connection")
			got := d.transfers(1)[0]
			if got.Cause != string(cause.BackendRefused) || strings.Contains(got.Detail, "does not answer") != silent {
				t.Errorf("the record is %+v", got)
			}
			d.leave()
		})
	}
}

// A transfer of which the end is not known when its session ends has failed, and
// its record comes before that of the session.
func TestASessionThatEndsInATransfer(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.carries(conntrack.Established, 0, 12)
	d.command("RETR a")
	d.reply("150 here")
	d.leave()
	got := d.transfers(1)[0]
	if got.Done || got.Cause != string(cause.Aborted) || got.Bytes != 12 {
		t.Errorf("the record is %+v", got)
	}
	var kinds []string
	d.eventually("the end of the session is on record", func() bool {
		d.audit.mu.Lock()
		defer d.audit.mu.Unlock()
		kinds = nil
		for _, e := range d.audit.events {
			switch e := e.(type) {
			case audit.SessionStart:
				kinds = append(kinds, "start")
			case audit.Login:
				kinds = append(kinds, "login "+e.Tried)
			case audit.Transfer:
				kinds = append(kinds, "transfer")
			case audit.SessionEnd:
				kinds = append(kinds, "end "+e.Result)
				if e.Transfers != 1 || e.Failures != 1 || e.ToClient != 12 {
					t.Errorf("the session's record is %+v", e)
				}
			}
		}
		return len(kinds) > 3
	})
	if want := []string{"start", "login anna", "transfer", "end client_closed"}; !slices.Equal(kinds, want) {
		t.Errorf("recorded %q, want %q", kinds, want)
	}
}

func TestFileOperationsAreRecorded(t *testing.T) {
	d := newGateway(t).loggedIn()
	for _, op := range []struct{ line, reply string }{
		{"DELE a b", "250 gone"}, {"XMKD d", "257 made"}, {"RNFR x", "350 to?"}, {"RNTO y", "553 no"}, {"SITE CHMOD 644 f", "200 ok"}, {"SITE HELP", "214 ok"},
	} {
		d.command(op.line)
		d.reply(op.reply)
	}
	var got []string
	d.audit.mu.Lock()
	for _, e := range d.audit.events {
		if op, ok := e.(audit.FileOp); ok {
			got = append(got, op.Verb+" "+op.Path)
		}
	}
	d.audit.mu.Unlock()
	if want := []string{"DELE a b", "MKD d", "RNFR x", "RNTO y", "SITE CHMOD 644 f"}; !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	d.leave()
}
