package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/config"
	"ftpgate/internal/lab/pki"
	"ftpgate/proxy/admin"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
)

// secret is "secret" for basic_auth_users, as bcrypt has it at its cheapest.
const secret = "$2a$04$bIUBGa7K.ITm9IoIjPGaG.L1wsAtQ0MO.Iq1uNFmupWfNpGDTwmme"

// webFiles makes a certificate of gate.example.net, and a web_config that has
// it and the password of one user.
func webFiles(t *testing.T) (webConfig string, trust *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := ca.Issue(pki.Request{Names: []string{"gate.example.net"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := certificate.Write(dir); err != nil {
		t.Fatal(err)
	}
	webConfig = filepath.Join(dir, "web.yml")
	text := "tls_server_config: { cert_file: " + pki.CertFile + ", key_file: " + pki.KeyFile + " }\nbasic_auth_users: { ops: '" + secret + "' }\n"
	if err := os.WriteFile(webConfig, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return webConfig, ca.Pool()
}

// listening starts one of the daemon's web listeners on a free port.
func listening(t *testing.T, start func(context.Context, *errgroup.Group, netip.AddrPort) error) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := netip.MustParseAddrPort(l.Addr().String())
	l.Close()
	ctx, stop := context.WithCancel(context.Background())
	var tasks errgroup.Group
	if err := start(ctx, &tasks, at); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		if err := tasks.Wait(); err != nil {
			t.Error(err)
		}
	})
	return at
}

func quietDaemon(file *config.File) *daemon {
	return &daemon{
		file: file, log: slog.New(slog.DiscardHandler), stderr: io.Discard,
		reloads: make(chan reloadRequest), goingDown: make(chan struct{}),
	}
}

func TestWebConfigAsksForAPassword(t *testing.T) {
	webConfig, trust := webFiles(t)
	names, err := certificateNames(webConfig)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"gate.example.net"}, names); diff != "" {
		t.Fatalf("names: -want +got:\n%s", diff)
	}
	handler := admin.New(admin.Options{Reader: example(), Hosts: names})
	d := quietDaemon(&config.File{})
	at := listening(t, func(ctx context.Context, tasks *errgroup.Group, at netip.AddrPort) error {
		return d.serveWeb(ctx, tasks, "admin", at, webConfig, handler)
	})

	transport := &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: trust},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", at.String())
		},
	}
	defer transport.CloseIdleConnections()
	tests := []struct {
		name, host, user, password string
		status                     int
	}{
		{"no password", "gate.example.net", "", "", http.StatusUnauthorized},
		{"a wrong one", "gate.example.net", "ops", "guess", http.StatusUnauthorized},
		{"the right one", "gate.example.net", "ops", "secret", http.StatusOK},
		{"by a stranger's name", "evil.example.com", "ops", "secret", http.StatusMisdirectedRequest},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://gate.example.net/api/v1/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = tt.host
			if tt.user != "" {
				req.SetBasicAuth(tt.user, tt.password)
			}
			resp, err := transport.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if resp.StatusCode != tt.status {
				t.Errorf("status %s, want %d", resp.Status, tt.status)
			}
		})
	}
	if resp, err := http.Get("http://" + at.String() + "/api/v1/status"); err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("plain HTTP is answered %s", resp.Status)
		}
	}
}

// Without a web_config the page is there for whoever reaches the address, and
// changes nothing.
func TestStatusListenerOnlyShows(t *testing.T) {
	d := quietDaemon(&config.File{})
	at := listening(t, func(ctx context.Context, tasks *errgroup.Group, at netip.AddrPort) error {
		return d.serveWeb(ctx, tasks, "admin", at, "", admin.New(admin.Options{Reader: example()}))
	})
	resp, err := http.Get("http://" + at.String() + "/api/v1/sessions")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("sessions: %s", resp.Status)
	}
	for _, path := range []string{"kill?id=51", "drain", "undrain", "reload", "close-all"} {
		resp, err := http.Post("http://"+at.String()+"/api/v1/"+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("POST %s: %s", path, resp.Status)
		}
	}
}

func TestListenerThatIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var tasks errgroup.Group
	err = quietDaemon(&config.File{}).serveWeb(t.Context(), &tasks, "admin", netip.MustParseAddrPort(l.Addr().String()), "", nil)
	if err == nil || !strings.HasPrefix(err.Error(), "admin.listen: listen tcp ") || !strings.HasSuffix(err.Error(), `write another address, or "" for none`) {
		t.Errorf("got %v", err)
	}
}

// check reads the files, as run does before it opens anything.
func TestCheckReadsWebConfigs(t *testing.T) {
	dir := t.TempDir()
	webConfig, _ := webFiles(t)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const service = "\n[[service]]\nname = \"files\"\nlisten = [\"198.51.100.1:21\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n"
	unknown := write("unknown.yml", "basic_auth: { ops: x }\n")
	plain := write("plain.yml", "basic_auth_users: { ops: secret }\n")
	anybody := write("anybody.yml", "{}\n")
	tests := []struct {
		name, text string
		status     int
		stderr     string // after the path of the configuration
	}{
		{"good", "metrics.web_config = \"" + webConfig + "\"\n[admin]\nlisten = \"0.0.0.0:9422\"\nweb_config = \"" + webConfig + "\"", exitDone, ""},
		{"not there", "metrics.web_config = \"/nowhere.yml\"", exitFailed, `metrics.web_config: "/nowhere.yml": open /nowhere.yml: no such file or directory`},
		{"unknown key", "metrics.web_config = \"" + unknown + "\"", exitFailed, `metrics.web_config: "` + unknown + `": yaml: unmarshal errors:`},
		{"a password that is no hash", "metrics.web_config = \"" + plain + "\"", exitFailed, `metrics.web_config: "` + plain + `": `},
		{"anybody, on loopback", "[admin]\nlisten = \"[::1]:9422\"\nweb_config = \"" + anybody + "\"", exitDone, ""},
		{
			"anybody, from anywhere", "[admin]\nlisten = \"0.0.0.0:9422\"\nweb_config = \"" + anybody + "\"", exitFailed,
			`admin.web_config: "` + anybody + `": it lets everybody in, and admin.listen is not on loopback: write basic_auth_users, or client_auth_type: RequireAndVerifyClientCert`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write("ftpgate.toml", tt.text+service)
			for _, command := range []string{"check", "run"} {
				if command == "run" && tt.status == exitDone {
					continue // it would run
				}
				var stdout, stderr bytes.Buffer
				status := execute([]string{command, "-c", path}, &stdout, &stderr)
				first, _, _ := strings.Cut(stderr.String(), "\n")
				if want := path + ": " + tt.stderr; status != tt.status || tt.stderr != "" && !strings.HasPrefix(first, want) || tt.stderr == "" && first != "" {
					t.Errorf("%s: status %d, %q\nwant %d, %q", command, status, stderr.String(), tt.status, want)
				}
			}
		})
	}
}

// Who holds connections to a listener takes no more than those.
func TestListenersHaveABound(t *testing.T) {
	d := quietDaemon(&config.File{})
	at := listening(t, func(ctx context.Context, tasks *errgroup.Group, at netip.AddrPort) error {
		return d.serveWeb(ctx, tasks, "metrics", at, "", http.NotFoundHandler())
	})
	var held []net.Conn
	for range maxConnections {
		conn, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		held = append(held, conn)
	}
	answered := make(chan error, 1)
	go func() {
		resp, err := http.Get("http://" + at.String())
		if err == nil {
			err = resp.Body.Close()
		}
		answered <- err
	}()
	// The listener takes connections in turn: when it has answered all that it holds, it has not taken this one.
	for _, conn := range held {
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case err := <-answered:
		t.Fatalf("one more is served (%v), beside %d", err, maxConnections)
	default:
	}
	held[0].Close()
	if err := <-answered; err != nil {
		t.Errorf("who waits its turn: %v", err)
	}
}
