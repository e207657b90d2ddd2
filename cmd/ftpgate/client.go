package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"ftpgate/internal/show"
	"ftpgate/proxy/api"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

const (
	defaultSocket = "/run/ftpgate/admin.sock"
	apiPrefix     = "/api/v1"
)

// client is how a command asks the daemon, and shows what it answers.
type client struct {
	socket   string
	json     bool
	watching bool // the same is asked again and again
}

func (a *client) flags(c *cobra.Command) {
	c.Flags().StringVar(&a.socket, "socket", defaultSocket, "admin.socket of the daemon, a `PATH`")
	c.Flags().BoolVar(&a.json, "json", false, "print the daemon's own JSON")
}

// patience is how long an answer may take, but for a trace.
const patience = time.Minute

// errNoDaemon says that nobody listens on the socket.
var errNoDaemon = errors.New("no daemon answers")

// ask asks for one answer, and prints it: as it comes with --json, else as show
// has it. What is asked about is shown as of when it was asked.
func ask[T any](c *cobra.Command, a *client, method, path string, query url.Values, show func(show.Screen, T) error) error {
	ctx, cancel := context.WithTimeout(c.Context(), patience)
	defer cancel()
	text, err := a.answer(ctx, method, path, query)
	if err != nil {
		return err
	}
	if a.json {
		return writeJSON(c.OutOrStdout(), text)
	}
	var answer T
	if err := a.decode(text, &answer); err != nil {
		return err
	}
	return show(a.screen(c.OutOrStdout()), answer)
}

func (a *client) decode(text []byte, answer any) error {
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("the answer of the daemon at %s cannot be read (is it of another version?): %w", a.socket, err)
	}
	return nil
}

// writeJSON writes JSON as the daemon has it. What a terminal could obey, which
// can only be within its strings, is escaped there as JSON has it.
func writeJSON(w io.Writer, text []byte) error {
	var b strings.Builder
	for _, r := range string(text) {
		if r == '\n' || unicode.IsPrint(r) {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// answer returns the body of an answer that is one.
func (a *client) answer(ctx context.Context, method, path string, query url.Values) ([]byte, error) {
	resp, err := a.request(ctx, method, path, query)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("read the answer of the daemon at %s: %w", a.socket, err)
	}
	return text, nil
}

// request sends a request. Whoever gets a response closes its body; it is a
// good one.
func (a *client) request(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	to := url.URL{Scheme: "http", Host: "ftpgate", Path: apiPrefix + path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), nil)
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", a.socket)
	}}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, a.unanswered(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	var problem api.Problem
	if json.Unmarshal(text, &problem) != nil || problem.Error == "" {
		return nil, fmt.Errorf("the daemon at %s answers %s", a.socket, resp.Status)
	}
	lines := strings.Split(strings.TrimSpace(problem.Error), "\n")
	for i := range lines {
		lines[i] = show.Printable(lines[i])
	}
	return nil, errors.New(strings.Join(lines, "\n"))
}

// unanswered says why a request came to nothing, and what to do.
func (a *client) unanswered(err error) error {
	var op *net.OpError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not use %s: become root or join the group %s", a.socket, adminGroup)
	case errors.As(err, &op) && op.Op == "dial":
		return fmt.Errorf("%w at %s: start it, or name its admin.socket with --socket", errNoDaemon, a.socket)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("the daemon at %s has not answered for %v", a.socket, patience)
	}
	return fmt.Errorf("ask the daemon at %s: %w", a.socket, err)
}

// now is when answers are shown; tests stop it.
var now = time.Now

// screen is where answers for people go. What is watched is drawn over what was
// there on a terminal, else below it, under a line with the time.
func (a *client) screen(out io.Writer) show.Screen {
	s := show.Screen{Out: out, Now: now()}
	columns, rows, isTerminal := terminal(out)
	s.Width = columns
	switch {
	case a.watching && isTerminal:
		s.Height, s.Head = rows, "\x1b[H\x1b[2J" // home, and clear
	case a.watching:
		s.Head = s.Now.Format(time.DateTime) + "\n"
	}
	return s
}

// terminal returns the size of the terminal that w is, if it is one.
func terminal(w io.Writer) (columns, rows int, ok bool) {
	f, ok := w.(*os.File)
	if !ok {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	return int(size.Col), int(size.Row), true
}
