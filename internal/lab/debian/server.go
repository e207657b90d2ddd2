package debian

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"ftpgate/internal/lab"
)

// The servers.
const (
	VSFTPD   = "vsftpd"
	ProFTPD  = "proftpd"
	PureFTPd = "pureftpd"
)

// Servers are all of them.
var Servers = []string{VSFTPD, ProFTPD, PureFTPd}

// Server is a running one. Its user is User with Password, its files are those in Root on the disk.
type Server struct {
	Name    string
	Root    string
	Options ServerOptions

	cmd *lab.Cmd
	log string // file
}

// StartServer starts a server in the host on a port of all its addresses, and returns when it greets. Its files, its
// configuration and its log are in dir. It ends with ctx, by Stop or with the lab.
func (t *Tree) StartServer(ctx context.Context, h *lab.Host, name, dir string, port uint16, o ServerOptions) (*Server, error) {
	r, ok := recipes[name]
	if !ok {
		return nil, fmt.Errorf("no server %q: there are %s", name, strings.Join(Servers, ", "))
	}
	if err := o.Can(name); err != nil {
		return nil, err
	}
	s := &Server{Name: name, Options: o, Root: filepath.Join(dir, "root"), log: filepath.Join(dir, "log")}
	if err := s.start(ctx, t, h, r, filepath.Join(dir, "conf"), port); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	if err := s.waitReady(ctx, h, port); err != nil {
		s.Stop()
		return nil, fmt.Errorf("start %s: %w\n%s", name, err, s.Log())
	}
	return s, nil
}

func (s *Server) start(ctx context.Context, t *Tree, h *lab.Host, r recipe, conf string, port uint16) error {
	if err := errors.Join(os.MkdirAll(s.Root, 0o755), os.MkdirAll(conf, 0o755)); err != nil {
		return err
	}
	if err := os.Chown(s.Root, uid, uid); err != nil {
		return err
	}
	if r.config != nil {
		if err := os.WriteFile(filepath.Join(conf, "config"), []byte(r.config(port, s.Options)), 0o644); err != nil {
			return err
		}
	}
	free, err := h.Listen("tcp", fmt.Sprintf(":%d", port))
	if err != nil {
		return err // the greeting of whoever has the port would pass for this server's
	}
	free.Close()
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer out.Close()

	binds := []Bind{{s.Root, "/srv"}, {conf, "/conf"}}
	if s.Options.TLS != NoTLS {
		binds = append(binds, Bind{s.Options.PKI, "/tls"})
	}
	line := r.command(port, s.Options)
	s.cmd = t.Command(ctx, h, binds, line[0], line[1:]...)
	s.cmd.Forks = true
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = out, out, out // vsftpd's last words go to where a client would be: stdin
	return s.cmd.Start()
}

// waitReady returns when the server greets, in both families if it has both.
func (s *Server) waitReady(ctx context.Context, h *lab.Host, port uint16) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Second, errors.New("it does not greet"))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go func() { giveUp(fmt.Errorf("it ended: %v", s.cmd.Wait())) }() // this goroutine ends with the server
	for _, ip := range s.Options.loopback(s.Name) {
		for {
			err := s.greets(ctx, h, net.JoinHostPort(ip, fmt.Sprint(port)))
			if err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return errors.Join(context.Cause(ctx), err)
			case <-time.After(10 * time.Millisecond): // until the next try, not until it is ready
			}
		}
	}
	return nil
}

// greets takes part in a session that ends at once.
func (s *Server) greets(ctx context.Context, h *lab.Host, addr string) error {
	conn, err := h.Dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if s.Options.TLS == Implicit {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) // whether it is there, not who it is
	}
	greeting, err := bufio.NewReader(conn).ReadString('\n')
	if !strings.HasPrefix(greeting, "220") {
		return errors.Join(fmt.Errorf("%s said %q, want 220", addr, greeting), err)
	}
	_, err = conn.Write([]byte("QUIT\r\n"))
	return err
}

// Stop ends the server and its sessions.
func (s *Server) Stop() {
	s.cmd.Stop()
}

// Log returns what the server wrote.
func (s *Server) Log() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		return err.Error()
	}
	more, err := os.ReadFile(filepath.Join(filepath.Dir(s.log), "conf", "more.log"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err.Error()
	}
	return string(text) + string(more)
}
