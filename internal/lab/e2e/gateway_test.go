// Package e2e tests the daemon as its users run it: the program itself, in the
// gateway's namespace of the lab, between real clients and real servers.
package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
	"ftpgate/nft/conntrack"
)

// program is the daemon under test, built by TestMain.
var program string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if len(os.Args) == 2 && os.Args[1] == "load" { // the test's program is also its load generator
		if err := load.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	dir, err := os.MkdirTemp("", "ftpgate-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "ftpgate")
	build := exec.Command("go", "build", "-o", program, "ftpgate/cmd/ftpgate")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "build the daemon: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// The gateway's addresses for clients.
const (
	gateway4 = "198.51.100.1:21"
	gateway6 = "[2001:db8:1::1]:21"
	metrics  = "http://127.0.0.1:9421"
)

// services is the usual service; %s is for more of its keys.
const services = `
[[service]]
name = "files"
listen = ["198.51.100.1:21", "[2001:db8:1::1]:21"]
backends = ["10.0.0.5:21", "[fd00:10::5]:21"]
tls.mode = "refuse"
%s
`

// gateway is a running daemon.
type gateway struct {
	t      testing.TB
	lab    *lab.Lab
	cmd    *lab.Cmd
	config string // path
	socket string
	log    *syncBuffer
}

// startGateway runs the daemon with the usual service, more of its keys, and
// top-level tables of the configuration. It returns when the daemon is ready.
func startGateway(t testing.TB, l *lab.Lab, keys, tables string) *gateway {
	t.Helper()
	g := prepareGateway(t, l, fmt.Sprintf(services, keys)+tables)
	g.start()
	return g
}

// prepareGateway writes the configuration and starts nothing.
func prepareGateway(t testing.TB, l *lab.Lab, config string) *gateway {
	t.Helper()
	dir := t.TempDir()
	g := &gateway{t: t, lab: l, config: filepath.Join(dir, "ftpgate.toml"), socket: filepath.Join(dir, "admin.sock"), log: &syncBuffer{}}
	g.configure(config)
	t.Cleanup(func() {
		g.kill()
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", lastLines(g.log.String(), 100))
		}
	})
	return g
}

// lastLines keeps a long log from burying what has failed.
func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	if len(lines) <= n {
		return text
	}
	return fmt.Sprintf("(%d lines more)\n%s", len(lines)-n, strings.Join(lines[len(lines)-n:], ""))
}

// configure writes the configuration; a running daemon reads it at SIGHUP.
func (g *gateway) configure(config string) {
	g.t.Helper()
	config = fmt.Sprintf("[admin]\nsocket = %q\n", g.socket) + config
	if err := os.WriteFile(g.config, []byte(config), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gateway) start() {
	g.t.Helper()
	g.cmd = g.lab.Gateway.Command(context.Background(), program, "run", "-c", g.config)
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	eventually(g.t, "the daemon is ready", func() bool {
		status, _ := g.get("/readyz")
		return status == http.StatusOK
	})
}

func (g *gateway) kill() {
	if g.cmd != nil {
		g.cmd.Stop() // SIGKILL
	}
}

func (g *gateway) signal(s os.Signal) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(s); err != nil {
		g.t.Fatal(err)
	}
}

// get asks the metrics listener; status 0: it does not answer.
func (g *gateway) get(path string) (status int, body string) { return g.fetch(metrics + path) }

// fetch gets a page on the gateway host; status 0: nobody answers.
func (g *gateway) fetch(url string) (status int, body string) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			return g.lab.Gateway.Dial(ctx, network, addr)
		},
	}}
	resp, err := client.Get(url)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

// metric returns the value of a series as it is printed, "" without one.
func (g *gateway) metric(series string) string {
	_, body := g.get("/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// pinholes asks the kernel.
func (g *gateway) pinholes() []nft.Listed {
	g.t.Helper()
	var list []nft.Listed
	err := g.lab.Gateway.Do(func() (err error) {
		list, err = nft.Pinholes(nft.DefaultName)
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return list
}

func (g *gateway) noPinholes() {
	g.t.Helper()
	eventually(g.t, "no pinhole is left", func() bool { return len(g.pinholes()) == 0 })
}

// run runs another command of the program in the gateway's namespace.
func (g *gateway) run(args ...string) (out string, status int) {
	g.t.Helper()
	cmd := g.lab.Gateway.Command(g.t.Context(), program, args...)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		g.t.Fatal(err)
	}
	return string(b), cmd.ProcessState.ExitCode()
}

// bothOwners runs a test with an owned table and with a plain one.
func bothOwners(t *testing.T, f func(t *testing.T, table string)) {
	t.Run("owned table", func(t *testing.T) { f(t, "") })
	t.Run("plain table", func(t *testing.T) { f(t, "[nft]\nowner = \"off\"\n") })
}

func newLab(t testing.TB) *lab.Lab {
	t.Helper()
	return labtest.New(t, lab.Options{SecondClient: true})
}

// syncBuffer is a buffer that a process writes while a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// flows are the data connections that conntrack knows.
func (g *gateway) flows() (flows []conntrack.Flow) {
	g.t.Helper()
	err := g.lab.Gateway.Do(func() error {
		c, err := conntrack.Dial()
		if err != nil {
			return err
		}
		defer c.Close()
		all, err := c.Dump(nft.DefaultMark, nft.DefaultMark)
		for _, f := range all {
			if f.Status&conntrack.DNAT != 0 {
				flows = append(flows, f)
			}
		}
		return err
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return flows
}
