package proxy

import (
	"crypto/tls"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

var wordOfKill = strings.TrimSuffix(killedWord, "\r\n")

// kill ends sessions, which must be these.
func (g *gateway) kill(f api.Filter, want ...uint64) {
	g.t.Helper()
	got, err := g.Kill(f)
	if err != nil {
		g.t.Fatal(err)
	}
	if diff := cmp.Diff(append([]uint64{}, want...), got); diff != "" {
		g.t.Fatalf("told to end (-want +got):\n%s", diff)
	}
}

// wantKilled follows a session to its end.
func (d *dialogue) wantKilled() {
	d.t.Helper()
	d.client.want(wordOfKill)
	d.client.wantEnd()
	d.client.Close()
	d.server.wantGone()
	d.server.Close()
	d.wantEnded(killed)
}

func TestKillSelects(t *testing.T) {
	g := newGateway(t)
	fresh, greeted, anna, other := g.connect(), g.greeted(), g.loggedIn(), g.greetedFrom(otherClient)
	other.command("USER bob\x1b")
	g.eventually("the name is known", func() bool { return len(g.Sessions(api.Filter{User: `bob\x1b`})) == 1 })
	g.kill(api.Filter{User: "nobody"})
	g.kill(api.Filter{Service: "others"})
	g.kill(api.Filter{User: "anna", Client: otherClient})
	g.kill(api.Filter{User: `bob\x1b`}, 4)
	other.wantKilled()
	g.kill(api.Filter{ID: 2}, 2)
	greeted.wantKilled()
	g.eventually("it is not there any more", func() bool { return len(g.Sessions(api.Filter{ID: 2})) == 0 })
	anna.command("NOOP")
	anna.reply("200 nobody has touched me")
	g.kill(api.Filter{Client: "127.0.0.0/31", Service: "files"}, 1, 3)
	for _, d := range []*dialogue{fresh, anna} {
		d.wantKilled()
	}
}

func TestKillWhatThereIsNot(t *testing.T) {
	g := newGateway(t)
	d := g.greeted()
	for name, tt := range map[string]struct {
		filter api.Filter
		want   error
	}{
		"nobody says which":     {api.Filter{}, ErrNoFilter},
		"no session has the id": {api.Filter{ID: 7}, api.ErrUnknown},
		"no address":            {api.Filter{Client: "anna"}, nil},
	} {
		ids, err := g.Kill(tt.filter)
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) || ids != nil {
			t.Errorf("%s: %v, %v", name, ids, err)
		}
	}
	d.command("NOOP")
}

// A session ends at once in whatever it is, with one word, and as what it is.
func TestKillWhereverASessionIs(t *testing.T) {
	t.Run("in its middle of a transfer", func(t *testing.T) {
		d := newGateway(t, onePort).loggedIn()
		d.passive()
		d.command("RETR a")
		flow := d.carries(conntrack.Established, 0, 5000)
		d.reply("150 here it comes")
		d.kill(api.Filter{ID: 1}, 1)
		d.wantKilled()
		d.eventually("what the kernel carries is cut", func() bool { return d.firewall.wasCut(flow.Orig) })
	})
	t.Run("with a pinhole open", func(t *testing.T) {
		d := newGateway(t, onePort).loggedIn()
		d.passive()
		d.kill(api.Filter{ID: 1}, 1)
		d.wantKilled()
		d.wantCalls("open "+passiveHole, "close "+passiveHole)
	})
	t.Run("relaying", func(t *testing.T) {
		d := newGateway(t, relayAll).loggedIn()
		c := d.passiveData()
		d.command("RETR a")
		d.reply("150 here it comes")
		c.server.write("half of it, ")
		c.client.wantText("half of it, ")
		d.kill(api.Filter{ID: 1}, 1)
		c.client.wantReset()
		c.server.wantReset()
		d.wantKilled()
	})
	t.Run("waiting for a server that does not read", func(t *testing.T) {
		d := newGateway(t).loggedIn()
		d.client.write(strings.Repeat("STAT "+strings.Repeat("x", 4000)+"\r\n", 63)) // as many as may wait for an answer
		d.kill(api.Filter{ID: 1}, 1)
		d.client.want(wordOfKill)
		d.client.Close()
		d.wantEnded(killed)
	})
	t.Run("whose client has gone", func(t *testing.T) {
		d := newGateway(t).loggedIn()
		d.command("STAT")
		if err := d.client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		d.server.wantEnd()
		d.kill(api.Filter{ID: 1}, 1)
		d.wantKilled()
	})
}

// A client that does not read what it asked for holds the session's lock.
func TestKillInASlowWrite(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.command("HELP")
	flooded := make(chan struct{})
	go func() {
		defer close(flooded)
		line := []byte("214-" + string(make([]byte, 4000)) + "\r\n")
		for {
			if _, err := d.server.Write(line); err != nil {
				return // the session has ended
			}
		}
	}()
	d.eventually("the session is stuck", func() bool {
		all := d.Sessions(api.Filter{})
		return len(all) == 1 && all[0].Busy
	})
	v := d.Sessions(api.Filter{User: "anna"})[0]
	if v.ID != 1 || v.Service != "files" || v.Client != d.client.LocalAddr().String() || v.Gateway != d.client.RemoteAddr().String() ||
		v.Backend != d.server.LocalAddr().String() || v.User != "anna" || v.Phase != "open" || v.Began.IsZero() || v.Doing == "" || v.Idle < 0 {
		t.Errorf("it is shown as %+v", v)
	}
	d.kill(api.Filter{User: "anna"}, 1)
	d.wantEnded(killed)
	<-flooded
}

// Nobody waits for a dial: the client is told at once, and the session ends with it.
func TestKillDuringTheDial(t *testing.T) {
	at, fd := silent(t)
	g := newGateway(t, func(_ *Settings, s *Service) { s.Backends = []netip.AddrPort{at} })
	client := g.dial(clientAddr)
	g.eventually("the session is there", func() bool { return len(g.Sessions(api.Filter{})) == 1 })
	if v := g.Sessions(api.Filter{})[0]; v.Doing != "connecting to "+at.String() || v.Phase != "greeting" || v.Backend != "" {
		t.Errorf("it is shown as %+v", v)
	}
	g.kill(api.Filter{ID: 1}, 1)
	client.want(wordOfKill)
	client.wantEnd()
	filler, _, err := unix.Accept(fd) // makes room for the next SYN
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(filler)
	client.Close()
	g.wantEnded(killed)
}

func TestKillWhileNoBackendAnswers(t *testing.T) {
	at, _ := silent(t)
	g := newGateway(t, func(_ *Settings, s *Service) {
		s.Backends, s.Timeouts.Connect = []netip.AddrPort{at}, 300*time.Millisecond
	})
	client := g.dial(clientAddr)
	g.eventually("the session is there", func() bool { return len(g.Sessions(api.Filter{})) == 1 })
	g.kill(api.Filter{ID: 1}, 1)
	client.want(wordOfKill)
	client.wantEnd()
	client.Close()
	g.wantEnded(killed)
}

func TestKillWhileTheClientNamesItsServer(t *testing.T) {
	g := newForward(t, func(_ *Settings, s *Service) { s.Explicit = true })
	g.redirect(netip.MustParseAddrPort(g.at()))
	client := g.dial(clientAddr)
	client.want(strings.TrimSpace(explicitGreeting))
	if v := g.Sessions(api.Filter{})[0]; v.Doing != "waiting for the name of a server" {
		t.Errorf("it is shown as %+v", v)
	}
	g.kill(api.Filter{ID: 1}, 1)
	client.want(wordOfKill)
	client.wantEnd()
	client.Close()
	g.wantEnded(killed)
}

// In the middle of a handshake there is nothing that a word could be said in.
func TestKillDuringTheHandshake(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate).greeted()
	d.refused("AUTH TLS", accepted)
	d.eventually("the handshake is waited for", func() bool {
		v := d.Sessions(api.Filter{})[0]
		return v.Doing == "waiting for the client's TLS handshake" && v.Protection == "tls"
	})
	d.kill(api.Filter{ID: 1}, 1)
	d.client.wantEnd()
	d.client.Close()
	d.server.wantGone()
	d.wantEnded(killed)
}

func TestKillOverTLS(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, k.terminate).overTLS(k.client())
	d.kill(api.Filter{ID: 1}, 1)
	d.wantKilled()
}

// TLS that is not ours cannot be spoken into.
func TestKillOfTLSThatPasses(t *testing.T) {
	k := newKeyring(t)
	d := newGateway(t, passTLS).through(k, func(c *tls.Config) *tls.Config { return c })
	if v := d.Sessions(api.Filter{})[0]; v.Doing != "TLS that is not ours passes" || v.Protection != "pass" || v.Phase != "opaque" {
		t.Errorf("it is shown as %+v", v)
	}
	d.kill(api.Filter{ID: 1}, 1)
	d.client.wantGone()
	d.client.Close()
	d.wantEnded(killed)
	d.wantCalls("open "+passHole, "close "+passHole)
}

// A relay that has outlived its session is found all the same.
func TestKillOfARelayWithoutItsSession(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	c := d.passiveData()
	d.command("RETR a")
	d.reply("150 here it comes")
	c.server.write("half of it, ")
	c.client.wantText("half of it, ")
	d.server.Close()
	d.client.want(serverGone)
	d.client.Close()
	d.wantEnded(serverClosed)
	d.eventually("the session is gone", func() bool { return len(d.Sessions(api.Filter{})) == 0 })
	d.kill(api.Filter{Client: clientAddr}, 1)
	c.client.wantReset()
	c.server.wantReset()
	d.wantNoRelays()
}
