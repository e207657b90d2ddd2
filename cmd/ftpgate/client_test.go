package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"ftpgate/internal/show"
	"ftpgate/proxy/api"

	"github.com/google/go-cmp/cmp"
)

func TestExitStatus(t *testing.T) {
	socket := serve(t, example())
	tests := []struct {
		args   string
		status int
		stderr string
	}{
		{"sessions --user nobody", exitDone, ""},
		{"sessions --client 198.51.100.0/33", exitUsage, `ftpgate: --client "198.51.100.0/33" is neither an address (198.51.100.7) nor a prefix (198.51.100.0/24): see ftpgate help`},
		{"sessions 42", exitUsage, `ftpgate: unknown command "42" for "ftpgate sessions": see ftpgate help`},
		{"kill", exitUsage, "ftpgate: kill needs the ID of a session, --client, --user or --service: see ftpgate help"},
		{"kill 42.1", exitUsage, `ftpgate: "42.1" is not the number of a session (ftpgate sessions shows them): see ftpgate help`},
		{"kill 0", exitUsage, `ftpgate: "0" is not the number of a session (ftpgate sessions shows them): see ftpgate help`},
		{"kill --user ", exitUsage, "ftpgate: kill needs the ID of a session, --client, --user or --service: see ftpgate help"},
		{"kill 51 --user bob", exitFailed, "ftpgate: no session is like that: nothing was ended"},
		{"explain", exitUsage, "ftpgate: explain needs the ID of a transfer (ftpgate failures shows them), --client IP, or --last: see ftpgate help"},
		{"explain 42.2 --last", exitUsage, "ftpgate: explain takes an ID or --client, not both: see ftpgate help"},
		{"explain --client 198.51.100.0/24", exitUsage, `ftpgate: --client "198.51.100.0/24" is not an address (198.51.100.7): see ftpgate help`},
		{"explain 7.7", exitFailed, "ftpgate: 7.7: not known: no failed transfer of this id is kept, and none runs"},
		{"explain nonsense", exitFailed, `ftpgate: bad request: "nonsense" is not the id of a transfer (42.3) or of a session (42)`},
		{"trace", exitUsage, "ftpgate: trace needs --client ADDRESS: see ftpgate help"},
		{"trace --client bob", exitUsage, `ftpgate: --client "bob" is neither an address (198.51.100.7) nor a prefix (198.51.100.0/24): see ftpgate help`},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			status := execute(append(strings.Split(tt.args, " "), "--socket", socket), &stdout, &stderr)
			if got := strings.TrimSpace(stderr.String()); status != tt.status || got != tt.stderr {
				t.Errorf("status %d, %q\nwant   %d, %q", status, got, tt.status, tt.stderr)
			}
		})
	}
}

func TestNoDaemon(t *testing.T) {
	dir := t.TempDir()
	dead := dir + "/dead.sock" // as a killed daemon leaves it
	l, err := net.Listen("unix", dead)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, socket := range []string{dir + "/none.sock", dead} {
		for _, command := range []string{"status", "sessions", "pinholes", "failures", "explain 42", "explain --last", "trace --client ::1", "kill 42", "drain", "undrain", "reload"} {
			var stdout, stderr bytes.Buffer
			status := execute(append(strings.Fields(command), "--socket", socket), &stdout, &stderr)
			want := fmt.Sprintf("ftpgate: no daemon answers at %s: start it, or name its admin.socket with --socket\n", socket)
			if status != exitFailed || stderr.String() != want || stdout.Len() > 0 {
				t.Errorf("%s: status %d, %q, want 1, %q", command, status, stderr.String(), want)
			}
		}
	}
}

func TestSocketOfOthers(t *testing.T) {
	a := &client{socket: "/run/x.sock"}
	err := a.unanswered(&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)})
	if want := "you may not use /run/x.sock: become root or join the group ftpgate"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	if errors.Is(err, errNoDaemon) {
		t.Error("a daemon that may not be asked is taken for none: close-all would try to do its work")
	}
}

// --json is the API's own: what another program gets that asks the same.
func TestJSONIsTheAPIs(t *testing.T) {
	socket := serve(t, example())
	tests := []struct{ args, method, path string }{
		{"status", http.MethodGet, "/status"},
		{"sessions", http.MethodGet, "/sessions"},
		{"sessions --client 198.51.100.7 --user alice --service files", http.MethodGet, "/sessions?client=198.51.100.7&service=files&user=alice"},
		{"pinholes", http.MethodGet, "/pinholes"},
		{"failures --user bob", http.MethodGet, "/failures?user=bob"},
		{"explain 42.2", http.MethodGet, "/explain/42.2"},
		{"explain 42", http.MethodGet, "/explain/42"},
		{"explain --last", http.MethodGet, "/explain/42.2"},
		{"explain --client 198.51.100.23", http.MethodGet, "/explain?client=198.51.100.23"},
		{"kill 51", http.MethodPost, "/kill?id=51"},
		{"drain", http.MethodPost, "/drain"},
		{"undrain", http.MethodPost, "/undrain"},
		{"reload", http.MethodPost, "/reload"},
		{"close-all", http.MethodPost, "/close-all"},
	}
	for _, tt := range tests {
		t.Run(tt.args, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if status := execute(append(strings.Fields(tt.args), "--json", "--socket", socket), &stdout, &stderr); status != exitDone {
				t.Fatalf("status %d: %s", status, stderr.String())
			}
			if diff := cmp.Diff(asked(t, socket, tt.method, tt.path), stdout.String()); diff != "" {
				t.Errorf("-API +printed:\n%s", diff)
			}
		})
	}
}

// asked asks the API without a command.
func asked(t *testing.T, socket, method, path string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return conn, nil }}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://x/api/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, path, resp.Status, text)
	}
	return string(text)
}

func TestJSONKeepsFromTheTerminal(t *testing.T) {
	var b strings.Builder
	if err := writeJSON(&b, []byte("{\"path\":\"日本 \u009b31m \u202e \U000e0001\x7f\"}\n")); err != nil {
		t.Fatal(err)
	}
	if want := `{"path":"日本 \u009b31m \u202e \udb40\udc01\u007f"}` + "\n"; b.String() != want {
		t.Errorf("got %s, want %s", b.String(), want)
	}
}

// An error of the daemon may have words of a peer in it.
func TestErrorsKeepFromTheTerminal(t *testing.T) {
	r := example()
	r.err = errors.New("one\x1b[2J\ntwo\u009b")
	socket := serve(t, r)
	for _, command := range []string{"drain", "trace --client 198.51.100.88"} {
		var stdout, stderr bytes.Buffer
		if status := execute(append(strings.Fields(command), "--socket", socket), &stdout, &stderr); status != exitFailed {
			t.Errorf("%s: status %d", command, status)
		}
		if !strings.Contains(stderr.String(), `one\x1b[2J`) {
			t.Errorf("%s: %q", command, stderr.String())
		}
		if i := strings.IndexFunc(stderr.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
			t.Errorf("%s: not printable at %d: %q", command, i, stderr.String())
		}
	}
}

// The socket says who is at its other end, and what he asked for arrives whole.
func TestActsAreOfSomebody(t *testing.T) {
	r := example()
	r.asked = make(chan string, 1)
	socket := serve(t, r)
	me := os.Getuid()
	for args, want := range map[string]string{
		"kill 51 --client 198.51.100.7 --user alice --service files": "kill {ID:51 Client:198.51.100.7 User:alice Service:files}",
		"kill --client 2001:db8::/32":                                "kill {ID:0 Client:2001:db8::/32 User: Service:}",
		"drain":                                                      "drain true",
		"undrain":                                                    "drain false",
		"reload":                                                     "reload",
		"close-all":                                                  "close-all",
		"trace --client 198.51.100.0/24":                             "trace 198.51.100.0/24",
	} {
		var stdout, stderr bytes.Buffer
		execute(append(strings.Fields(args), "--socket", socket), &stdout, &stderr)
		select {
		case got := <-r.asked:
			if want := fmt.Sprintf("%s by %d", want, me); got != want {
				t.Errorf("ftpgate %s: got %q, want %q", args, got, want)
			}
		default:
			t.Errorf("ftpgate %s asked nothing: %s", args, stderr.String())
		}
	}
}

func TestSocketIsForItsGroup(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("root alone gives a file to a group that it is not in")
	}
	group, err := user.LookupGroup("daemon") // every Linux has it
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/admin.sock"
	l, err := listenControl(path, group.Name, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o660 {
		t.Errorf("mode %v, want srw-rw----", info.Mode())
	}
	if got := fmt.Sprint(info.Sys().(*syscall.Stat_t).Gid); got != group.Gid {
		t.Errorf("group %s, want %s", got, group.Gid)
	}
}

// Nothing but the socket of a dead daemon is removed to make room.
func TestSocketMakesNoRoomForItself(t *testing.T) {
	path := t.TempDir() + "/precious"
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	if _, err := listenControl(path, adminGroup, log); err == nil || !strings.HasSuffix(err.Error(), "is there and no socket: set another path") {
		t.Errorf("over a file: %v", err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
	if _, err := listenControl(serve(t, example()), adminGroup, log); err == nil || !strings.HasPrefix(err.Error(), "another daemon answers at ") {
		t.Errorf("over a daemon: %v", err)
	}
}

func TestWatch(t *testing.T) {
	socket := serve(t, example())
	ctx, stop := context.WithCancel(t.Context())
	var out bytes.Buffer
	c := newSessions()
	c.SetContext(ctx)
	c.SetOut(&out)
	a := &client{socket: socket, watching: true}
	looked := 0
	err := repeat(c, time.Millisecond, func() error {
		if looked++; looked == 3 {
			stop()
		}
		return ask(c, a, http.MethodGet, "/sessions", url.Values{"user": {"carol"}}, func(s show.Screen, list []api.Session) error {
			_, err := fmt.Fprint(s.Out, s.Head, len(list), "\n")
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "2026-03-14 12:00:00\n1\n2026-03-14 12:00:00\n1\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// Who watches is told when the daemon goes.
func TestWatchEndsWithTheDaemon(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if status := execute([]string{"sessions", "--watch", "--socket", t.TempDir() + "/none"}, &stdout, &stderr); status != exitFailed {
		t.Errorf("status %d, want 1", status)
	}
}
