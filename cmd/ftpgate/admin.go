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
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// adminGroup may use the socket besides root.
const adminGroup = "ftpgate"

// closedAnswer is what the daemon answers to close-all.
type closedAnswer struct {
	Closed int `json:"closed"`
}

// serveAdmin answers the command line on the socket.
func (d *daemon) serveAdmin(ctx context.Context, tasks *errgroup.Group) error {
	path := d.file.Admin.Socket
	if path == "" {
		return nil
	}
	l, err := listenAdmin(path)
	if err != nil {
		return fmt.Errorf("admin.socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /close-all", func(w http.ResponseWriter, _ *http.Request) {
		n, err := d.table.CloseAll() // first, and whatever our books say
		d.server.CloseAll()
		d.log.Warn("all pinholes were closed by command", "pinholes", n, "error", err)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(closedAnswer{n})
	})
	serveHTTP(ctx, tasks, l, mux)
	return nil
}

// listenAdmin makes the socket, in place of one that a dead daemon left.
func listenAdmin(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("%w: create the folder, or set socket = \"\"", err)
	}
	if conn, err := net.Dial("unix", path); err == nil {
		conn.Close()
		return nil, fmt.Errorf("another daemon answers at %s: stop it, or set another socket", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket == 0 {
		return nil, fmt.Errorf("%s is there and no socket: set another path", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o660); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	if g, err := user.LookupGroup(adminGroup); err == nil {
		if gid, err := strconv.Atoi(g.Gid); err == nil {
			_ = os.Chown(path, -1, gid) // where we may not, root alone has it
		}
	}
	return l, nil
}

// askDaemon sends a command to the daemon and decodes its answer. An error that
// is errNoDaemon says that none listens.
func askDaemon(socket, what string, answer any) error {
	client := http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}},
	}
	defer client.CloseIdleConnections()
	resp, err := client.Post("http://ftpgate/"+what, "", nil)
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" && !errors.Is(err, fs.ErrPermission) {
		return errNoDaemon
	}
	if err != nil {
		return fmt.Errorf("ask the daemon at %s: %w", socket, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return fmt.Errorf("the daemon at %s answers %s: %s", socket, resp.Status, strings.TrimSpace(string(why)))
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

var errNoDaemon = errors.New("no daemon answers")
