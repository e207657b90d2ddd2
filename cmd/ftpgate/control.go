package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"ftpgate/proxy/admin"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// adminGroup may use the socket besides root.
const adminGroup = "ftpgate"

// serveControl answers the command line on the socket.
func (d *daemon) serveControl(ctx context.Context, tasks *errgroup.Group) error {
	path := d.file.Admin.Socket
	if path == "" {
		return nil
	}
	l, err := listenControl(path, adminGroup, d.log)
	if err != nil {
		return fmt.Errorf("admin.socket: %w", err)
	}
	g := &gateway{d}
	server := controlServer(admin.NewControl(admin.Options{Reader: g}, g))
	server.serve(ctx, tasks, l)
	return nil
}

// controlServer is the server of the socket. A handler learns by admin.UID who asks.
func controlServer(h http.Handler) webServer {
	return webServer{Server: &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout,
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return admin.WithUID(ctx, peerUID(conn))
		},
	}}
}

// peerUID asks the kernel who has connected to a Unix socket (SO_PEERCRED,
// unix(7)); -1: it does not say.
func peerUID(conn net.Conn) int {
	c, ok := conn.(*net.UnixConn)
	if !ok {
		return -1
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1
	}
	uid := -1
	if err := raw.Control(func(fd uintptr) {
		if cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			uid = int(cred.Uid)
		}
	}); err != nil {
		return -1
	}
	return uid
}

// listenControl makes the socket, in place of one that a dead daemon left, for us
// and a group.
func listenControl(path, group string, log *slog.Logger) (net.Listener, error) {
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
	before := unix.Umask(0o117) // 0660: nobody else may use it, not even for a moment
	l, err := net.Listen("unix", path)
	unix.Umask(before)
	if err != nil {
		return nil, err
	}
	if g, err := user.LookupGroup(group); err == nil {
		gid, err := strconv.Atoi(g.Gid)
		if err == nil {
			err = os.Lchown(path, -1, gid) // not what somebody has put in its place
		}
		if err != nil {
			log.Warn("admin.socket is for its owner alone, not for the group "+group, "error", err)
		}
	}
	return l, nil
}
