package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ftpgate/internal/config"
	"ftpgate/proxy/admin"
	"ftpgate/proxy/audit"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// waiting is a daemon that has nothing but its socket, its audit log, and the
// loop that handles signals and reloads.
func waiting(t *testing.T, configuration string) (d *daemon, socket string, signals chan os.Signal) {
	t.Helper()
	dir := t.TempDir()
	d = quietDaemon(&config.File{})
	d.path = filepath.Join(dir, "ftpgate.toml")
	if err := os.WriteFile(d.path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	d.metrics = newDaemonMetrics(prometheus.NewRegistry())
	d.file.Audit.JSON = filepath.Join(dir, "audit.json")
	var err error
	if d.audit, err = audit.Open(auditOptions(d.file, d.log)); err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "admin.sock")
	l, err := listenControl(socket, adminGroup, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var tasks errgroup.Group
	g := &gateway{d}
	controlServer(admin.NewControl(admin.Options{Reader: g}, g)).serve(ctx, &tasks, l)
	signals = make(chan os.Signal)
	tasks.Go(func() error {
		defer close(d.goingDown)
		return d.wait(ctx, signals)
	})
	t.Cleanup(func() {
		stop()
		if err := tasks.Wait(); err != nil {
			t.Error(err)
		}
		if err := d.audit.Close(); err != nil {
			t.Error(err)
		}
	})
	return d, socket, signals
}

// audited returns what the audit log has of administrators.
func audited(t *testing.T, d *daemon) []string {
	t.Helper()
	if err := d.audit.Reopen(); err != nil { // which waits until all is written
		t.Fatal(err)
	}
	text, err := os.ReadFile(d.file.Audit.JSON)
	if err != nil {
		t.Fatal(err)
	}
	var events []string
	for line := range strings.Lines(string(text)) {
		var e struct {
			Event, Action, Detail, Error string
			UID                          *int
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		by := "nobody"
		if e.UID != nil {
			by = fmt.Sprint(*e.UID)
		}
		events = append(events, fmt.Sprintf("%s %s of %s by %s: %s", e.Event, e.Action, filepath.Base(e.Detail), by, strings.ReplaceAll(e.Error, d.path, "FILE")))
	}
	return events
}

// Who reloads a bad file is told everything that is wrong with it.
func TestReloadSaysWhatIsWrong(t *testing.T) {
	d, socket, _ := waiting(t, "[log]\nlevel = \"loud\"\ncolour = true\n")
	var stdout, stderr bytes.Buffer
	status := execute([]string{"reload", "--socket", socket}, &stdout, &stderr)
	want := `ftpgate: FILE: service: missing: write at least one [[service]] with name, listen, backends and tls.mode
ftpgate: FILE:2: log.level: "loud" is not one of the values: write "debug", "info", "warn" or "error"
ftpgate: FILE:3: log.colour: unknown key: [log] has level, format
ftpgate: FILE has 3 errors; nothing was changed
`
	if diff := cmp.Diff(want, strings.ReplaceAll(stderr.String(), d.path, "FILE")); status != exitFailed || stdout.Len() > 0 || diff != "" {
		t.Errorf("status %d, %q, -want +got:\n%s", status, stdout.String(), diff)
	}
	detail := strings.TrimPrefix(strings.ReplaceAll(strings.TrimSuffix(want, "\n"), "\nftpgate: ", "; "), "ftpgate: ")
	if diff := cmp.Diff([]string{fmt.Sprintf("admin reload of ftpgate.toml by %d: %s", os.Getuid(), detail)}, audited(t, d)); diff != "" {
		t.Errorf("audit: -want +got:\n%s", diff)
	}
}

func TestReloadThatNeedsARestart(t *testing.T) {
	const service = "[[service]]\nname = \"files\"\nlisten = [\"198.51.100.1:21\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n"
	was, problems := config.Parse([]byte(service))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for key, lines := range map[string]string{
		"admin.listen":       "admin.listen = \"127.0.0.1:9422\"\n",
		"admin.socket":       "admin.socket = \"\"\n",
		"metrics.listen":     "metrics.listen = \"\"\n",
		"metrics.web_config": "metrics.web_config = \"/w.yml\"\n",
		"log.format":         "log.format = \"json\"\n",
		"nft.table":          "nft.table = \"other\"\n",
		"nft.mark":           "nft.mark = 1\n",
		"nft.owner":          "nft.owner = \"off\"\n",
		"nft.route_mark":     "nft.route_mark = 1\n",
		"nft.route_table":    "nft.route_table = 9\n",
	} {
		is, problems := config.Parse([]byte(lines + service))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if err := needsRestart(was, is); err == nil || err.Error() != key+" has changed, which only a restart can do" {
			t.Errorf("%s: got %v", key, err)
		}
	}
	is, problems := config.Parse([]byte("log.level = \"debug\"\naudit.json = \"/a\"\n" + service))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if err := needsRestart(was, is); err != nil {
		t.Errorf("what a reload can do: %v", err)
	}
}

// A log that was renamed is let go at SIGHUP, also when the configuration is bad.
func TestHangUpOpensTheAuditFilesAgain(t *testing.T) {
	d, _, signals := waiting(t, "nonsense")
	d.record(0, "first", "", nil)
	old := d.file.Audit.JSON + ".1"
	if err := d.audit.Reopen(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(d.file.Audit.JSON, old); err != nil {
		t.Fatal(err)
	}
	signals <- syscall.SIGHUP
	signals <- syscall.SIGTERM // is taken when the one before has been handled
	<-d.goingDown
	text, err := os.ReadFile(old)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n != 1 || !bytes.Contains(text, []byte(`"first"`)) {
		t.Errorf("the renamed file has %q", text)
	}
	events := audited(t, d)
	if len(events) != 1 || !strings.HasPrefix(events[0], "admin reload of ftpgate.toml by nobody: ") {
		t.Errorf("the fresh file has %q", events)
	}
}

func TestReloadWhileGoingDown(t *testing.T) {
	d, socket, signals := waiting(t, "")
	signals <- syscall.SIGTERM
	<-d.goingDown
	var stdout, stderr bytes.Buffer
	status := execute([]string{"reload", "--socket", socket}, &stdout, &stderr)
	if want := "ftpgate: not possible now: the daemon is going down\n"; status != exitFailed || stderr.String() != want {
		t.Errorf("status %d, %q, want %q", status, stderr.String(), want)
	}
}
