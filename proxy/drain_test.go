package proxy

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ftpgate/nft/conntrack"
	"ftpgate/proxy/cause"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"
)

var wordOfDrain = strings.TrimSuffix(goingDown, "\r\n")

func TestDrainEndsIdleSessions(t *testing.T) {
	g := newGateway(t)
	sessions := []*dialogue{g.connect(), g.greeted(), g.loggedIn()}
	sessions[2].passive()
	at := g.at()
	done := make(chan struct{})
	go func() { defer close(done); g.Drain() }()
	for _, d := range sessions {
		d.client.want(wordOfDrain)
		d.client.wantEnd()
		d.client.Close()
		d.server.wantGone()
		g.wantEnded(drained)
	}
	<-done
	if conn, err := net.DialTimeout("tcp", at, patience); err == nil {
		conn.Close()
		t.Error("new connections are accepted")
	}
	if n := g.firewall.open(); n != 0 {
		t.Errorf("%d pinholes are open", n)
	}
	if n := testutil.ToFloat64(g.Metrics.draining); n != 1 {
		t.Errorf("ftpgate_draining is %v", n)
	}
	if why := g.Ready(); len(why) == 0 || !errors.Is(why[0], ErrDraining) {
		t.Errorf("Ready: %v", why)
	}
	if err := g.Reload(g.settings); !errors.Is(err, ErrDraining) {
		t.Errorf("Reload: %v, want %v", err, ErrDraining)
	}
}

// A transfer that runs may end; its session ends behind the 226.
func TestDrainLetsATransferEnd(t *testing.T) {
	g := newGateway(t)
	d := g.loggedIn()
	d.passive()
	d.command("RETR a")
	d.connected()
	d.reply("150 here it comes")
	idle := g.loggedIn()
	done := make(chan struct{})
	go func() { defer close(done); g.Drain() }()
	idle.client.want(wordOfDrain)
	idle.client.Close()
	select {
	case <-done:
		t.Fatal("Drain has returned while a transfer runs")
	default:
	}
	d.command("NOOP")
	d.reply("200 still here", "226 done")
	d.client.want(wordOfDrain)
	d.client.wantEnd()
	d.client.Close()
	<-done
	g.wantEnded(drained)
	g.wantEnded(drained)
}

// timeouts.drain is the end of every transfer's patience, whatever its client does.
func TestDrainHasAnEnd(t *testing.T) {
	for name, client := range map[string]func(d *dialogue){
		"a client that waits": func(d *dialogue) {},
		"a client that shuts its side down": func(d *dialogue) {
			if err := d.client.CloseWrite(); err != nil {
				d.t.Fatal(err)
			}
			d.server.wantEnd()
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Drain = short }).loggedIn()
			d.passive()
			d.command("RETR a")
			d.reply("150 here it comes")
			done := make(chan struct{})
			go func() { defer close(done); d.Drain() }()
			client(d)
			d.client.want(wordOfDrain)
			d.client.wantEnd()
			d.client.Close()
			<-done
			if cause := d.wantEnded(timedOut)["cause"]; cause != errDrain.Error() {
				t.Errorf("cause %q", cause)
			}
		})
	}
}

// A session that is still dialling when the daemon goes down ends as soon as
// it has its server.
func TestDrainDuringTheDial(t *testing.T) {
	at, fd := silent(t)
	g := newGateway(t, func(_ *Settings, s *Service) { s.Backends = []netip.AddrPort{at} })
	client := g.dial(clientAddr)
	g.eventually("the session is there", func() bool {
		g.mu.Lock()
		defer g.mu.Unlock()
		return len(g.sessions) == 1
	})
	done := make(chan struct{})
	go func() { defer close(done); g.Drain() }()
	s := g.session()
	g.eventually("the session knows", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.endBy.IsZero()
	})
	filler, _, err := unix.Accept(fd) // makes room for the next SYN
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(filler)
	client.want(wordOfDrain)
	client.wantEnd()
	client.Close()
	<-done
	g.wantEnded(drained)
}

func TestDrainWaitsForARelay(t *testing.T) {
	d := newGateway(t, relayAll).loggedIn()
	c := d.passiveData()
	d.command("RETR a")
	d.reply("150 here it comes")
	c.server.write("half of it, ")
	c.client.wantText("half of it, ") // both halves are joined by now
	done := make(chan struct{})
	go func() { defer close(done); d.Drain() }()
	d.reply("451 no, wait") // so that the session ends
	d.client.want(wordOfDrain)
	d.client.Close()
	d.wantEnded(drained)
	carry(t, c.server, c.client, "and the rest all the same")
	select {
	case <-done:
	case <-time.After(patience):
		t.Error("Drain waits although nothing runs")
	}
}

func TestDrainCutsARelayInTheEnd(t *testing.T) {
	t.Parallel()
	d := newGateway(t, relayAll, func(_ *Settings, s *Service) { s.Timeouts.Drain = short }).loggedIn()
	c := d.passiveData()
	d.command("RETR a")
	d.reply("150 here it comes")
	done := make(chan struct{})
	go func() { defer close(done); d.Drain() }()
	d.client.want(wordOfDrain)
	select {
	case <-done:
		t.Error("Drain has returned while a relay runs")
	default:
	}
	c.client.wantReset()
	c.server.wantReset()
	<-done
}

// Who does not wait for transfers has them recorded as they are.
func TestAbandon(t *testing.T) {
	g := newGateway(t)
	d, idle := g.loggedIn(), g.loggedIn()
	d.passive()
	d.carries(conntrack.Established, 0, 5000)
	d.command("RETR a")
	d.reply("150 here it comes")
	done := make(chan struct{})
	go func() { defer close(done); g.Drain() }()
	idle.client.want(wordOfDrain)
	idle.client.Close()
	g.Abandon()
	<-done
	d.client.want(wordOfDrain)
	g.wantEnded(drained)
	g.wantEnded(drained)
	got := g.transfers(1)[0]
	if got.Done || got.Bytes != 5000 || got.Cause != string(cause.Aborted) || !strings.HasPrefix(got.Detail, "The gateway went down") {
		t.Errorf("the record is %+v", got)
	}
}
