package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// The words with which clients are turned away.
const (
	notThere = "421 This gateway does not lead to that address"
	notYou   = "421 Your address may not use this service"
	dialIt   = "421 Dial the FTP server itself"
)

// refused wants a dial to be answered by these words.
func refused(t *testing.T, n ftpc.Network, at, words string) {
	t.Helper()
	c, err := ftpc.Dial(impatient{n}, at)
	if err == nil {
		c.Close()
	}
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("dial %s: %v, want %q", at, err, words)
	}
}

// Where clients are not led as it comes: private and link-local addresses, and
// what cannot be one host's. Loopback and our own addresses cannot be redirected;
// see explicit.
func TestForwardDestinationsDenied(t *testing.T) {
	l := forwardLab(t)
	g := startForward(t, l, "", "")
	denied := []string{
		"10.9.9.9:21", "172.16.0.1:21", "172.31.255.254:21", "192.168.1.1:21", "100.64.0.1:21", "169.254.169.254:21",
		"[fc00::1]:21", "[fd00:77::1]:21",
	}
	for _, at := range denied {
		refused(t, l.Server, at, notThere)
	}
	if got, want := g.metric(`ftpgate_refusals_total{reason="destination",service="out"}`), fmt.Sprint(len(denied)); got != want {
		t.Errorf("%s refusals are counted, want %s", got, want)
	}
}

// What is written takes the place of the words: a deny of one network, and an
// allow that leads to one server alone.
func TestForwardDestinationsWritten(t *testing.T) {
	l := forwardLab(t)
	startOn(t, l.Client, &ftpd.Server{}, outside4, outside6)
	startOn(t, l.Client2, &ftpd.Server{}, "198.51.100.8:21", "[2001:db8:1::8]:21")
	startForward(t, l, `destinations.allow = ["198.51.100.8", "2001:db8:1::/64"]
destinations.deny = ["self", "2001:db8:1::7"]`, "")
	refused(t, l.Server, outside4, notThere) // not allowed
	refused(t, l.Server, outside6, notThere) // allowed, and denied, which goes first
	for _, at := range []string{"198.51.100.8:21", "[2001:db8:1::8]:21"} {
		c := login(t, l.Server, at)
		if _, err := c.Download(setUp(t, c, "EPSV"), "RETR /zero-1K"); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

// Nobody but intercept.from can use the listener, wherever they are, and nor can
// those who dial it instead of a server.
func TestForwardListenerIsNoProxy(t *testing.T) {
	for _, explicit := range []bool{false, true} {
		t.Run(fmt.Sprintf("explicit %v", explicit), func(t *testing.T) {
			l := forwardLab(t)
			g := prepareGateway(t, l, `[[service]]
name = "out"
mode = "forward"
listen = ["0.0.0.0:2121", "[::]:2121"]
intercept.from = ["10.0.0.5", "fd00:10::5"]
`+fmt.Sprintf("explicit = %v\n", explicit))
			g.announced()
			for _, from := range []struct {
				host *lab.Host
				at   string
			}{
				{l.Server2, listener4}, {l.Server2, listener6}, {l.Client, "198.51.100.1:2121"}, {l.Client, "[2001:db8:1::1]:2121"},
				{l.Gateway, "127.0.0.1:2121"}, {l.Gateway, "[::1]:2121"},
			} {
				refused(t, from.host, from.at, notYou)
			}
			if !explicit {
				for _, at := range []string{listener4, listener6, "198.51.100.1:2121"} {
					refused(t, l.Server, at, dialIt)
				}
			}
			if n := g.metric(`ftpgate_refusals_total{reason="denied",service="out"}`); n != "6" {
				t.Errorf("%s refusals are counted, want 6", n)
			}
			if n := g.sessions(); n != "0" {
				t.Errorf("%s sessions are counted, want none", n)
			}
		})
	}
}

// Who is not to be intercepted goes to the server as without us: by the admin's
// masquerade, with passive data and without active data.
func TestForwardLeavesOthersAlone(t *testing.T) {
	tree := labtest.Tree(t)
	for name, keys := range map[string]string{
		"not in from":         `intercept.from = ["10.0.0.5", "fd00:10::5"]`,
		"a client of except":  `intercept = { from = ["10.0.0.0/24", "fd00:10::/64"], except = ["10.0.0.6", "fd00:10::6"] }`,
		"another interface":   `intercept = { from = ["10.0.0.6", "fd00:10::6"], interfaces = ["wan"] }`,
		"a server of except":  `intercept = { from = ["10.0.0.6", "fd00:10::6"], except = ["198.51.100.0/24", "2001:db8:1::7"] }`,
		"a port that is none": `intercept = { from = ["10.0.0.6", "fd00:10::6"], ports = [2121] }`,
	} {
		t.Run(name, func(t *testing.T) {
			l := forwardLab(t)
			startOn(t, l.Client, &ftpd.Server{}, outside4, outside6)
			loadRules(t, tree, l.Gateway, masquerade)
			g := prepareGateway(t, l, "[[service]]\nname = \"out\"\nmode = \"forward\"\nlisten = [\"0.0.0.0:2121\", \"[::]:2121\"]\n"+keys+"\n")
			g.announced()
			for at := range inwardModes {
				alone(t, l.Server2, at)
			}
			if n := g.sessions(); n != "0" {
				t.Errorf("%s sessions are counted, want none", n)
			}
		})
	}
}

// alone is a client that nobody helps.
func alone(t *testing.T, h *lab.Host, at string) {
	t.Helper()
	c := login(t, h, at)
	if _, err := c.Download(setUp(t, c, "EPSV"), "RETR /zero-1K"); err != nil {
		t.Errorf("passive data of who is left alone: %v", err)
	}
	if d, err := c.SetUp("EPRT"); err == nil {
		d.Close()
		t.Error("the server takes an EPRT with an address of the inside: somebody has rewritten it")
	}
	if err := c.Must(2, "QUIT"); err != nil {
		t.Error(err)
	}
	c.Close()
}

// intercepted is a client that is helped: active data comes.
func intercepted(t *testing.T, h *lab.Host, at string) {
	t.Helper()
	c := login(t, h, at)
	if _, err := c.Download(setUp(t, c, "EPRT"), "RETR /zero-1K"); err != nil {
		t.Errorf("active data of who is intercepted: %v", err)
	}
	c.Close()
}

// Without the service nobody is intercepted, from the SIGHUP on; nor after the
// daemon's end.
func TestForwardInterceptionEnds(t *testing.T) {
	tree := labtest.Tree(t)
	bothOwners(t, func(t *testing.T, table string) {
		l := forwardLab(t)
		startOn(t, l.Client, &ftpd.Server{}, outside4, outside6)
		loadRules(t, tree, l.Gateway, masquerade)
		g := startForward(t, l, "", table)
		intercepted(t, l.Server, outside4)
		running := login(t, l.Server, outside6)

		g.reload(fmt.Sprintf(services, "") + table) // which has another
		alone(t, l.Server, outside4)
		alone(t, l.Server, outside6)
		if _, err := running.Download(setUp(t, running, "EPRT"), "RETR /zero-1K"); err != nil {
			t.Errorf("a session that was there before: %v", err)
		}
		running.Close()
		g.reload(fmt.Sprintf(leading, "") + table)
		intercepted(t, l.Server, outside4)
		intercepted(t, l.Server2, outside6)

		g.signal(syscall.SIGTERM)
		if err := g.cmd.Wait(); err != nil {
			t.Errorf("the daemon's end: %v", err)
		}
		alone(t, l.Server, outside4)
		alone(t, l.Server, outside6)
	})
}
