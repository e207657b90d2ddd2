package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
	"ftpgate/internal/lab/pki"
)

// TestTLSPassMatrix is TLS that goes through to servers that know the gateway's
// address: real servers × clients × TLS 1.2 and 1.3. The gateway does not see
// which of the passive modes they use.
func TestTLSPassMatrix(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	_, certificates := labtest.PKI(t)
	m := labtest.Matrix{
		Tree: tree, From: l.Client, Size: smallFile, Parallel: true,
		Modes: []debian.Mode{debian.PASV}, Versions: []string{"1.2", "1.3"},
	}
	config := ""
	for i, name := range debian.Servers {
		first := uint16(50_000 + 100*i)
		o := debian.ServerOptions{
			TLS: debian.Explicit, RequireTLS: true, PKI: certificates,
			Address: lab.WanV4, Ports: [2]uint16{first, first + 99},
		}
		keys := fmt.Sprintf("tls = { mode = \"pass\", pass_ports = \"%d-%d\" }\n", first, first+99)
		service, target := behind(t, tree, l, name, uint16(2100+100*i), o, keys)
		target.TLS, target.PKI = debian.Explicit, certificates
		config += service
		m.Targets = append(m.Targets, target)
	}
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
}

// passing is a client of the small server behind a gateway that lets TLS pass,
// and the gateway.
func passing(t *testing.T, l *lab.Lab, tlsKeys string) (*gateway, *ftpc.Client, *tls.Config) {
	t.Helper()
	config := startSecureFTPD(t, l, &ftpd.Server{Advertise: lab.WanV4, PassivePorts: [2]uint16{50_000, 50_007}})
	g := prepareGateway(t, l, fmt.Sprintf("[[service]]\nname = \"files\"\nlisten = [%q]\nbackends = [\"10.0.0.5:21\"]\ntls = { mode = \"pass\"%s }\n",
		gateway4, tlsKeys))
	g.start()
	c, err := ftpc.Dial(l.Client, gateway4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return g, c, config
}

// startSecureFTPD puts the small FTP server inside, with a certificate for the
// gateway, the server and a name, and returns how clients trust it. Fields of
// the server that say where it is are filled in.
func startSecureFTPD(t testing.TB, l *lab.Lab, s *ftpd.Server) *tls.Config {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	if s.TLS == nil {
		s.TLS = serverTLS(t, ca, lab.WanV4, lab.ServerV4)
	}
	if s.Files == nil {
		s.Files = ftpd.NewTree()
	}
	s.Listen, s.Dial = l.Server.Listen, l.Server.DialFrom
	listener, err := l.Server.Listen("tcp", "10.0.0.5:21")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(ctx, listener); err != nil {
			t.Errorf("ftpd: %v", err)
		}
	})
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	return &tls.Config{RootCAs: ca.Pool(), ServerName: lab.WanV4.String()}
}

// serverTLS is a server's configuration with a certificate of an authority.
func serverTLS(t testing.TB, ca *pki.Authority, addrs ...netip.Addr) *tls.Config {
	t.Helper()
	cert, err := ca.Issue(pki.Request{Addrs: addrs})
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{cert.TLS()}}
}

// What TLS that passes opens: the declared ports, to this client, while its
// session lives, and to nobody before its AUTH.
func TestTLSPassOpensToOneClientForItsSession(t *testing.T) {
	l := newLab(t)
	g, c, config := passing(t, l, `, pass_ports = "50000-50007"`)
	inside, err := l.Server.Listen("tcp", "10.0.0.5:50000") // somebody who would answer
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	const port = "198.51.100.1:50000"
	if reaches(l.Client, port) {
		t.Error("a pass port was open before AUTH")
	}
	if err := c.Auth(config, ""); err != nil {
		t.Fatal(err)
	}
	if !reaches(l.Client, port) {
		t.Error("the client cannot reach a pass port after AUTH")
	}
	if reaches(l.Client2, port) {
		t.Error("another client can reach a pass port")
	}
	if reaches(l.Client, "198.51.100.1:50008") {
		t.Error("a port that is not declared is open")
	}
	if err := c.Protect(); err != nil {
		t.Fatal(err)
	}
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"PASV", "EPSV"} {
		if _, err := c.Download(setUp(t, c, mode), "LIST"); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
	if _, err := c.SetUp("PORT"); err == nil || !strings.Contains(err.Error(), "504") {
		t.Errorf("PORT: %v, want the server's own 504: nobody could rewrite it", err)
	}
	c.Close()
	g.noPinholes()
	if reaches(l.Client, port) {
		t.Error("a pass port is open after the session")
	}
}

// After CCC the gateway sees commands again: the opening closes, and a 227 is
// rewritten to a pinhole.
func TestTLSPassEndsWithCCC(t *testing.T) {
	l := newLab(t)
	g, c, config := passing(t, l, `, pass_ports = "50000-50007"`)
	if err := c.Auth(config, ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Protect(); err != nil {
		t.Fatal(err)
	}
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
	if err := c.Clear(); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"PASV", "PORT", "EPSV", "EPRT"} {
		d := setUp(t, c, mode)
		if d.At.IsValid() && d.At.Port() < 61_000 {
			t.Errorf("%s after CCC leads to %v, want a pinhole of the gateway", mode, d.At)
		}
		if n := len(g.pinholes()); n != 1 {
			t.Errorf("%d pinholes after %s, want one and no opening of pass", n, mode)
		}
		if _, err := c.Download(d, "LIST"); err != nil { // data is TLS still, end to end
			t.Errorf("%s after CCC: %v", mode, err)
		}
	}
}

// Without ports nothing could carry data: AUTH is refused with the reason, and
// the session goes on in clear.
func TestTLSPassWithoutPortsRefusesAUTH(t *testing.T) {
	l := newLab(t)
	_, c, config := passing(t, l, "")
	if err := c.Auth(config, ""); err == nil || !strings.Contains(err.Error(), "534") {
		t.Errorf("AUTH: %v, want 534", err)
	}
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Download(setUp(t, c, "PASV"), "LIST"); err != nil {
		t.Error(err)
	}
}

// reaches reports whether an address can be dialled.
func reaches(n ftpc.Network, addr string) bool {
	var conn net.Conn
	conn, err := impatient{n}.Dial(context.Background(), "tcp", addr)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}
