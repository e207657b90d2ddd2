package proxy

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"golang.org/x/sys/unix"
)

const cannotBeReached = "421 The FTP server behind this gateway cannot be reached: try again later"

// down returns an address at which nobody listens.
func down(t *testing.T) netip.AddrPort {
	l := listenTCP(t, backendAddr+":0")
	l.Close()
	return addrPort(l.Addr())
}

// silent returns an address that answers no SYN, and its listening socket:
// the queue of connections is full.
func silent(t *testing.T) (at netip.AddrPort, fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	bound := unix.SockaddrInet4{Addr: netip.MustParseAddr(backendAddr).As4()}
	if err := unix.Bind(fd, &bound); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	bound = *sa.(*unix.SockaddrInet4)
	filler, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(filler) })
	if err := unix.Connect(filler, &bound); err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4(bound.Addr), uint16(bound.Port)), fd
}

func (g *gateway) wantBackendUp(at netip.AddrPort, up float64) {
	g.t.Helper()
	if got := testutil.ToFloat64(g.Metrics.backendUp.WithLabelValues("files", at.String())); got != up {
		g.t.Errorf("backend_up of %v is %v, want %v", at, got, up)
	}
}

// Edge 83: a backend that is down gives a sentence, not a bare close, and
// shows in the metrics; so does one that does not answer at all.
func TestBackendIsDown(t *testing.T) {
	full, _ := silent(t)
	for name, at := range map[string]netip.AddrPort{"refused": down(t), "no answer": full} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, func(_ *Settings, s *Service) {
				s.Backends = []netip.AddrPort{at}
				s.Timeouts.Connect = 100 * time.Millisecond
			})
			g.wantBackendUp(at, 1)
			client := g.dial(clientAddr)
			client.send("USER anna") // too early, and no reason to lose the answer
			client.want(cannotBeReached)
			client.wantEnd()
			client.send("PASS s3cret", "SYST") // somebody still reads
			client.send("QUIT")
			client.Close()
			record := g.wantEnded(noBackend)
			if cause, _ := record["cause"].(string); !strings.Contains(cause, at.String()) {
				t.Errorf("cause %q does not name the backend", cause)
			}
			if _, ok := record["server"]; ok {
				t.Errorf("the log names a server that there was not: %v", record)
			}
			g.wantBackendUp(at, 0)
			if err := g.Ready(); len(err) != 1 || !strings.Contains(err[0].Error(), "no backend") {
				t.Errorf("Ready: %v", err)
			}
			if n := testutil.ToFloat64(g.Metrics.sessionsTotal.WithLabelValues("files", "backend")); n != 1 {
				t.Errorf("%v sessions ended without a backend, want 1", n)
			}
		})
	}
}

// Edge 84: the next backend is tried, and data goes to the one that answered.
func TestSecondBackend(t *testing.T) {
	first := down(t)
	g := newGateway(t, onePort, func(_ *Settings, s *Service) {
		s.Backends = append([]netip.AddrPort{first}, netip.MustParseAddrPort("127.0.0.6:0"))
	})
	second := listenTCP(t, "127.0.0.6:0")
	g.settings.Services[0].Backends[1] = addrPort(second.Addr())
	if err := g.Reload(g.settings); err != nil {
		t.Fatal(err)
	}
	d := &dialogue{g, g.dial(clientAddr), acceptFrom(t, second)}
	d.reply("220 ready")
	d.logIn()
	d.passive()
	g.wantCalls("open 127.0.0.1 -> 127.0.0.2:61000 -> 127.0.0.6:2000 from 127.0.0.5:0")
	g.wantBackendUp(first, 0)
	g.wantBackendUp(g.settings.Services[0].Backends[1], 1)
	if err := g.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
}

// A client goes to a backend of its own address family (edge 84).
func TestBackendOfTheClientsFamily(t *testing.T) {
	six := listenTCP(t, "[::1]:0")
	g := newGateway(t, onePort, func(_ *Settings, s *Service) {
		s.Listen = append(s.Listen, netip.MustParseAddrPort("[::1]:0"))
		s.Backends = append(s.Backends, addrPort(six.Addr()))
	})
	at := g.listening(netip.MustParseAddrPort("[::1]:0"))
	d := &dialogue{g, g.dialTo("::1", at.String()), acceptFrom(t, six)}
	d.reply("220 ready")
	d.logIn()
	d.refused("PASV", "425 PASV cannot express an IPv6 address: use EPSV")
	d.command("EPSV")
	d.server.send("229 Entering Extended Passive Mode (|||2000|)")
	d.client.want("229 Entering Extended Passive Mode (|||61000|)")
	g.wantCalls("open ::1 -> [::1]:61000 -> [::1]:2000 from [::1]:0")
	g.loggedIn() // and IPv4 goes to the other
}

// Where there is none it goes to one of the other family, whose data is relayed.
func TestBackendOfTheOtherFamily(t *testing.T) {
	g := newGateway(t, listenOnSix)
	d := &dialogue{g, g.dialTo("::1", g.listening(netip.MustParseAddrPort("[::1]:0")).String()), g.accept()}
	d.reply("220 ready")
	d.logIn()
}

func listenOnSix(_ *Settings, s *Service) {
	s.Listen = append(s.Listen, netip.MustParseAddrPort("[::1]:0"))
}

// Not so where only the kernel may carry data.
func TestNoBackendOfTheClientsFamily(t *testing.T) {
	g := newGateway(t, listenOnSix, func(_ *Settings, s *Service) { s.Data = DataKernel })
	client := g.dialTo("::1", g.listening(netip.MustParseAddrPort("[::1]:0")).String())
	client.want(cannotBeReached)
	client.wantEnd()
	client.Close()
	if cause := g.wantEnded(noBackend)["cause"]; cause != errNoBackend.Error() {
		t.Errorf("cause %q", cause)
	}
}

// A backend that was down is looked after, so that it can come back although
// nobody asks for it.
func TestBackendComesBack(t *testing.T) {
	at := down(t)
	g := newGateway(t, func(_ *Settings, s *Service) { s.Backends = []netip.AddrPort{at} })
	g.dial(clientAddr).want(cannotBeReached)
	g.wantBackendUp(at, 0)
	g.probeBackends(t.Context()) // it is still down
	l := listenTCP(t, at.String())
	g.eventually("the backend counts as up", func() bool {
		g.probeBackends(t.Context())
		return testutil.ToFloat64(g.Metrics.backendUp.WithLabelValues("files", at.String())) == 1
	})
	if err := g.Ready(); err != nil {
		t.Errorf("Ready: %v", err)
	}
	l.Close()
	g.probeBackends(t.Context()) // one that is up is left alone
	g.wantBackendUp(at, 1)
}

// A probe that is broken off because the daemon ends says nothing of the backend.
func TestProbeIsBrokenOff(t *testing.T) {
	g := newGateway(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	svc := g.services["files"]
	if _, err := svc.dialOne(ctx, svc.backends[0], netip.Addr{}); err == nil {
		t.Fatal("a dial without time succeeded")
	}
	g.wantBackendUp(svc.backends[0].at, 1)
}

// A gateway that dials itself would go on to do so: each session makes the next.
func TestBackendIsTheGateway(t *testing.T) {
	for name, wildcard := range map[string]bool{"its address": false, "its wildcard": true} {
		t.Run(name, func(t *testing.T) {
			l := listenTCP(t, "0.0.0.0:0") // for a port that is free on all addresses
			l.Close()
			listen := netip.AddrPortFrom(netip.IPv4Unspecified(), addrPort(l.Addr()).Port())
			at := netip.AddrPortFrom(netip.MustParseAddr(backendAddr), listen.Port())
			if !wildcard {
				listen = at
			}
			g := newGateway(t, func(_ *Settings, s *Service) {
				s.Listen, s.Backends = []netip.AddrPort{listen}, []netip.AddrPort{at}
			})
			client := g.dialTo(clientAddr, at.String())
			client.want(cannotBeReached)
			client.wantEnd()
			client.Close()
			if cause, _ := g.wantEnded(noBackend)["cause"].(string); !strings.Contains(cause, errToSelf.Error()) {
				t.Errorf("cause %q", cause)
			}
			if n := g.lastID.Load(); n != 1 {
				t.Errorf("%d sessions, want the client's alone", n)
			}
		})
	}
}

func TestIsLocal(t *testing.T) {
	for a, want := range map[string]bool{"127.0.0.3": true, "::1": true, "192.0.2.1": false, "2001:db8::1": false} {
		if got := isLocal(netip.MustParseAddr(a)); got != want {
			t.Errorf("isLocal(%s) = %v, want %v", a, got, want)
		}
	}
}
