package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
	"ftpgate/internal/lab/pki"
	"ftpgate/proxy/cause"
)

// secret is the password of all clients here. Nothing that an admin gets to see
// may have it.
const secret = "open-sesame-4711"

// failing is a way in which a transfer fails, and what an admin must be told of
// it. It has a service, a server and a client's address of its own, so that all
// of them can go wrong at once under one daemon.
type failing struct {
	name   string // of its service
	cause  cause.Cause
	times  int // that it fails; 0: once
	v6     bool
	keys   string // more of its service
	server *ftpd.Server
	fail   func(s *scene)

	says  string   // a pattern for the sentence; {at}, {to}, {client} and {server} are addresses of now
	seen  []string // patterns for the evidence
	fate  string   // of the session's last pinhole; "": none was opened
	lines []string // patterns for the dialogue, in this order
}

// world is a lab with one daemon that writes down everything.
type world struct {
	*gateway
	tree            *debian.Tree
	outside, inside *pki.Authority
	certificates    certificates
	audit, xferlog  string
}

// newWorld starts nothing yet.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{tree: labtest.Tree(t)}
	w.outside, w.certificates.outside = labtest.PKI(t)
	w.inside, w.certificates.inside = labtest.PKI(t)
	l, dir := newLab(t), t.TempDir()
	w.audit, w.xferlog = filepath.Join(dir, "audit.json"), filepath.Join(dir, "xferlog")
	w.gateway = prepareGateway(t, l, "")
	return w
}

func (w *world) configure(services string) {
	w.t.Helper()
	w.gateway.configure(fmt.Sprintf("[audit]\njson = %q\nxferlog = %q\n[limits]\nnew_per_client = \"6000/m\"\n", w.audit, w.xferlog) + services)
}

// scene is one of them on the stage.
type scene struct {
	*world
	t *testing.T // of the subtest
	failing
	number int
	client from
	server netip.Addr
	at     string         // where its service listens
	told   netip.AddrPort // what the last PASV or EPSV said
}

// act makes all of them fail, at the same time, since most of them wait for
// something, and checks what is said of each.
func act(t *testing.T, w *world, all []failing) {
	t.Helper()
	scenes := make([]*scene, len(all))
	config := ""
	for i, f := range all {
		scenes[i] = w.scene(i, f)
		config += scenes[i].service()
	}
	w.configure(config)
	w.start()
	var running sync.WaitGroup
	for _, s := range scenes {
		running.Go(func() {
			t.Run(s.name, func(t *testing.T) {
				s.enter(t)
				s.fail(s)
				s.explained()
			})
		})
	}
	running.Wait()
	w.secretive()
}

// enter makes what the scene asks of the gateway a matter of its subtest.
func (s *scene) enter(t *testing.T) {
	s.t = t
	own, g := *s.world, *s.gateway
	g.t, own.gateway = t, &g
	s.world = &own
}

func (w *world) scene(i int, f failing) *scene {
	s := &scene{world: w, failing: f, number: i, server: lab.ServerV4}
	client, gateway := netip.AddrFrom4([4]byte{198, 51, 100, byte(20 + i)}), lab.WanV4
	if f.v6 {
		client = netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%d", 20+i))
		gateway, s.server = lab.WanV6, lab.ServerV6
	}
	address(w.t.(*testing.T), w.lab.Client, lab.HostLink, netip.PrefixFrom(client, map[bool]int{false: 24, true: 64}[f.v6]).String(), true)
	s.client = from{w.lab.Client, client}
	s.at = netip.AddrPortFrom(gateway, uint16(2100+i)).String()
	s.startServer()
	return s
}

// Ports of a scene: those on which its server listens for data, and one of a
// client on which nobody does. Beside the server's nobody listens.
const (
	serverPorts = 50_000
	clientPorts = 40_000
	aside       = 5
)

func (s *scene) startServer() {
	w := s.world
	server := s.failing.server
	if server == nil {
		server = &ftpd.Server{}
	}
	server.Files = ftpd.NewTree()
	for name, size := range map[string]int64{"/zero-1K": 1 << 10, "/zero-1G": 1 << 30} {
		if err := server.Files.PutZeros(name, size); err != nil {
			w.t.Fatal(err)
		}
	}
	first := uint16(serverPorts + 10*s.number)
	server.PassivePorts = [2]uint16{first, first + aside - 1}
	if server.Listen = w.lab.Server.Listen; server.Dial == nil {
		server.Dial = w.lab.Server.DialFrom
	}
	if strings.Contains(s.keys, "{explicit}") {
		server.TLS = serverTLS(w.t, w.inside, s.server)
		server.TLS.SessionTicketsDisabled = server.RequireResumption // what it wants cannot be had
	}
	listener, err := w.lab.Server.Listen("tcp", s.backend())
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx, listener) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			w.t.Errorf("ftpd: %v", err)
		}
	})
}

func (s *scene) backend() string { return netip.AddrPortFrom(s.server, uint16(2100+s.number)).String() }

func (s *scene) service() string {
	keys := s.keys
	if !strings.Contains(keys, "tls") && !strings.Contains(keys, "{terminate}") {
		keys += "\ntls.mode = \"refuse\""
	}
	if !strings.Contains(keys, "ports = ") {
		keys += fmt.Sprintf("\nports = \"%d-%d\"", 61_000+20*s.number, 61_000+20*s.number+19)
	}
	keys = strings.NewReplacer("{terminate}", s.certificates.terminate(), "{explicit}", s.certificates.backend(debian.Explicit)).Replace(keys)
	return fmt.Sprintf("[[service]]\nname = %q\nlisten = [%q]\nbackends = [%q]\n%s\n", s.name, s.at, s.backend(), keys)
}

// login is another session of the scene's client.
func (s *scene) login() *ftpc.Client {
	s.t.Helper()
	c, err := ftpc.Dial(s.client, s.at)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	s.loginOn(c)
	return c
}

func (s *scene) loginOn(c *ftpc.Client) {
	s.t.Helper()
	for _, line := range []string{"USER demo", "PASS " + secret} {
		if r, err := c.Do(line); err != nil || r.Code >= 400 {
			s.t.Fatalf("%s: %v, %v", line, r, err)
		}
	}
}

// setUp sets up a data connection and remembers where it is to be dialled.
func (s *scene) setUp(c *ftpc.Client, mode string) *ftpc.Data {
	s.t.Helper()
	d := setUp(s.t, c, mode)
	s.told = d.At
	return d
}

// say sends a line; the replies to it must have these codes, or be of these classes.
func (s *scene) say(c *ftpc.Client, line string, codes ...int) {
	s.t.Helper()
	if err := c.Send(line); err != nil {
		s.t.Fatal(err)
	}
	s.hear(c, codes...)
}

func (s *scene) hear(c *ftpc.Client, codes ...int) {
	s.t.Helper()
	for _, code := range codes {
		if r, err := c.Read(); err != nil || r.Code != code && r.Code/100 != code {
			s.t.Fatalf("%v, %v, want a %d", r, err, code)
		}
	}
}

// drop has a host drop what comes to a port.
func (s *scene) drop(h *lab.Host, port int) {
	s.t.Helper()
	s.nft(s.t, h, fmt.Sprintf("table inet drop%d {\nchain in {\ntype filter hook input priority 0;\ntcp dport %[1]d drop\n}\n}\n", port))
}

func (w *world) nft(t *testing.T, h *lab.Host, ruleset string) {
	t.Helper()
	cmd := w.tree.Command(t.Context(), h, nil, "nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
}
