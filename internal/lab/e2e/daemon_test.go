package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
)

// A broken configuration: every error with key and line, status 1.
func TestCheckReportsEverything(t *testing.T) {
	file := filepath.Join(t.TempDir(), "broken.toml")
	config := "[nft]\nmark = \"0x3\"\n\n[[service]]\nname = \"files\"\nlisten = [\"198.51.100.1\"]\nbackend = [\"10.0.0.5:21\"]\nports = \"9-5\"\n"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"check", "run"} {
		out, err := exec.Command(program, command, "-c", file).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 1 {
			t.Errorf("%s: %v, want status 1", command, err)
		}
		for _, want := range []string{
			":2: nft.mark: ", ":6: service[0].listen[0]: ", ":7: service[0].backend: ", "did you mean", "service[0].backends",
			":8: service[0].ports: ", "tls.mode",
		} {
			if !strings.Contains(string(out), want) {
				t.Errorf("%s lacks %q:\n%s", command, want, out)
			}
		}
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{{"no-such-command"}, {"run", "--no-such-flag"}, {"check", "too", "much"}} {
		out, err := exec.Command(program, args...).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 2 || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%v: %v, want status 2 and one line: %s", args, err, out)
		}
	}
}

func TestReload(t *testing.T) {
	l := newLab(t)
	startFTPD(t, l)
	g := startGateway(t, l, "", "")
	old := login(t, l.Client, gateway4)

	// A bad file changes nothing and says so.
	g.configure("[[service]]\nname = 5\n")
	g.signal(syscall.SIGHUP)
	eventually(t, "the bad reload is counted", func() bool { return g.metric("ftpgate_config_last_reload_successful") == "0" })
	if err := login(t, l.Client, gateway4).Must(2, "NOOP"); err != nil {
		t.Errorf("after a bad reload: %v", err)
	}
	if !strings.Contains(g.log.String(), "service[0].name") {
		t.Errorf("the log does not name the key")
	}

	// A good one is for new sessions, also at another address.
	g.configure(strings.Replace(fmt.Sprintf(services, `modes = ["active"]`), "198.51.100.1:21", "198.51.100.1:2121", 1))
	g.signal(syscall.SIGHUP)
	eventually(t, "the good reload is counted", func() bool { return g.metric("ftpgate_config_last_reload_successful") == "1" })
	c := login(t, l.Client, "198.51.100.1:2121")
	if err := c.Must(5, "PASV"); err != nil {
		t.Errorf("new session: %v", err)
	}
	if _, err := c.Download(setUp(t, c, "PORT"), "RETR /zero-1K"); err != nil {
		t.Errorf("new session: %v", err)
	}
	if _, err := old.Download(setUp(t, old, "PASV"), "RETR /zero-1K"); err != nil {
		t.Errorf("the session from before: %v", err)
	}
	if c, err := ftpc.Dial(l.Client, gateway4); err == nil {
		c.Close()
		t.Error("the address that is configured no more is still served")
	}

	// What only a restart can change is refused.
	g.configure(fmt.Sprintf(services, "") + "[nft]\ntable = \"other\"\n")
	g.signal(syscall.SIGHUP)
	eventually(t, "the refusal names the key", func() bool { return strings.Contains(g.log.String(), "nft.table has changed") })
}

// A second daemon on the same table refuses to start and names the owner; so
// does one whose port is taken.
func TestSecondDaemon(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		first := startGateway(t, l, "", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		pid := fmt.Sprintf("pid %d", first.cmd.Process.Pid)
		off := "[metrics]\nlisten = \"\"\n"

		second := prepareGateway(t, l, fmt.Sprintf(services, "")+off+table)
		out, status := second.run("run", "-c", second.config)
		if status != 1 || !strings.Contains(out, "table inet ftpgate") || !strings.Contains(out, pid) {
			t.Errorf("same table: status %d, want 1, the table and %q: %s", status, pid, out)
		}
		second.configure(fmt.Sprintf(services, "") + off + "[nft]\ntable = \"second\"\n")
		out, status = second.run("run", "-c", second.config)
		if status != 1 || !strings.Contains(out, "198.51.100.1:21") || !strings.Contains(out, pid) {
			t.Errorf("same port: status %d, want 1, the address and %q: %s", status, pid, out)
		}
		if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
			t.Errorf("the first daemon was disturbed: %v", err)
		}
	})
}

// Without root: one sentence, and with the two capabilities all works.
func TestCapabilities(t *testing.T) {
	l := newLab(t)
	startFTPD(t, l)
	g := prepareGateway(t, l, fmt.Sprintf(services, ""))
	dir, err := os.MkdirTemp("/tmp", "ftpgate-cap-") // t.TempDir lies below a folder of root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	mine := filepath.Join(dir, "ftpgate")
	for from, to := range map[string]string{program: mine, g.config: filepath.Join(dir, "ftpgate.toml")} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, []byte(strings.ReplaceAll(string(b), g.socket, filepath.Join(dir, "sock"))), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	g.config = filepath.Join(dir, "ftpgate.toml")
	as := func(caps string) *lab.Cmd {
		cmd := l.Gateway.Command(t.Context(), "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
			"--inh-caps=-all"+caps, "--ambient-caps=-all"+caps, "--bounding-set=-all"+caps, mine, "run", "-c", g.config)
		cmd.Stdout, cmd.Stderr = g.log, g.log
		return cmd
	}
	if err := as("").Run(); err == nil || !strings.Contains(g.log.String(), "setcap cap_net_admin") || strings.Count(g.log.String(), "\n") != 1 {
		t.Errorf("without rights: %v, want one line with the command that grants them: %s", err, g.log)
	}
	g.cmd = as(",+net_admin,+net_bind_service")
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is ready", func() bool { status, _ := g.get("/readyz"); return status == 200 })
	for _, mode := range []string{"PASV", "PORT"} {
		c := login(t, l.Client, gateway4)
		if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// close-all, with a daemon and with what a dead one left.
func TestCloseAll(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		setUp(t, login(t, l.Client, gateway4), "PORT")
		out, status := g.run("close-all", "--socket", g.socket)
		if status != 0 || out != "closed 2 pinholes\n" {
			t.Errorf("with a daemon: status %d: %s", status, out)
		}
		if n := len(g.pinholes()); n != 0 || dial(l.Client, d) {
			t.Errorf("%d pinholes are left", n)
		}
		if _, err := c.Download(setUp(t, c, "PASV"), "RETR /zero-1K"); err != nil {
			t.Errorf("the session cannot go on: %v", err)
		}
		setUp(t, c, "PASV")
		g.kill()
		out, status = g.run("close-all", "--socket", g.socket)
		if status != 0 || out != "closed 1 pinhole\n" {
			t.Errorf("without a daemon: status %d: %s", status, out)
		}
		if n := len(g.pinholes()); n != 0 {
			t.Errorf("%d pinholes are left", n)
		}
		out, status = g.run("close-all", "--socket", g.socket, "--table", "mistyped")
		if status != 1 || !strings.Contains(out, "there is no table inet mistyped") {
			t.Errorf("with a mistyped table: status %d: %s", status, out)
		}
	})
}

// A backend that is down: 421 with a sentence, and readyz says so. Edge 83.
func TestBackendDown(t *testing.T) {
	l := newLab(t)
	g := startGateway(t, l, "", "")
	for _, at := range []string{gateway4, gateway6} {
		_, err := ftpc.Dial(l.Client, at)
		if err == nil || !strings.Contains(err.Error(), "421 The FTP server behind this gateway cannot be reached") {
			t.Errorf("%s: %v, want a 421 with a sentence", at, err)
		}
	}
	if status, body := g.get("/readyz"); status != 503 || !strings.Contains(body, "service files: no backend") {
		t.Errorf("readyz: %d %s", status, body)
	}
	startFTPD(t, l)
	eventually(t, "the backend is found again", func() bool { status, _ := g.get("/readyz"); return status == 200 })
}

// Forwarding is off: the daemon says so with the command, and is not ready.
func TestForwardingOff(t *testing.T) {
	l := newLab(t)
	g := startGateway(t, l, "", "")
	if err := l.Gateway.Sysctl("net/ipv4/ip_forward", "0"); err != nil {
		t.Fatal(err)
	}
	if status, body := g.get("/readyz"); status != 503 || !strings.Contains(body, "sysctl -w net.ipv4.ip_forward=1") {
		t.Errorf("readyz: %d %s", status, body)
	}
}

// The table is removed by somebody: it is put back, and transfers go on.
// Edge 87.
func TestFlushByOthers(t *testing.T) {
	tree := labtest.Tree(t)
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", table)
		c := login(t, l.Client, gateway4)
		d := setUp(t, c, "PASV")
		out, err := tree.Command(t.Context(), l.Gateway, nil, "nft", "flush", "ruleset").CombinedOutput()
		if err != nil {
			t.Fatalf("nft flush ruleset: %v: %s", err, out)
		}
		if table != "" {
			eventually(t, "the table is put back", func() bool { return g.metric("ftpgate_nft_reinstalls_total") == "1" })
		}
		if _, err := c.Download(d, "RETR /zero-1K"); err != nil {
			t.Errorf("the pinhole from before the flush: %v", err)
		}
		if _, err := c.Download(setUp(t, c, "PORT"), "RETR /zero-1K"); err != nil {
			t.Errorf("after the flush: %v", err)
		}
	})
}

// Clients and servers on the gateway host itself take other hooks of the kernel.
func TestOnTheGatewayItself(t *testing.T) {
	l := newLab(t)
	startFTPD(t, l)
	startGateway(t, l, "", "")
	for at, modes := range map[string][]string{gateway4: {"PASV", "PORT"}, gateway6: {"EPSV", "EPRT"}} {
		for _, mode := range modes {
			c := login(t, l.Gateway, at)
			if _, err := c.Download(setUp(t, c, mode), "RETR /zero-1K"); err != nil {
				t.Errorf("client on the gateway, %s: %v", mode, err)
			}
		}
	}
}

// A big transfer is counted, and conntrack forgets it when nobody else
// remembers it: at once where the side that dialled has closed it.
func TestBigTransferIsCleanedUp(t *testing.T) {
	for _, mode := range []string{"PORT", "EPRT"} {
		t.Run(mode, func(t *testing.T) {
			l := newLab(t)
			startFTPD(t, l)
			g := startGateway(t, l, "", "")
			c := login(t, l.Client, gateway4)
			got, err := c.Download(setUp(t, c, mode), "RETR /zero-64M")
			if err != nil || len(got) != 64<<20 {
				t.Fatalf("%d bytes: %v", len(got), err)
			}
			series := fmt.Sprintf(`ftpgate_pinholes_total{mode=%q,outcome="used",service="files"}`, mode)
			if v := g.metric(series); v != "1" {
				t.Errorf("%s is %q, want 1", series, v)
			}
			eventually(t, "conntrack has no entry of the data connection", func() bool { return len(g.flows()) == 0 })
		})
	}
}
