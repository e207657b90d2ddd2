package debian

import (
	"bufio"
	"context"
	"errors"
	"fmt"
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
	Name string
	Root string

	cmd *lab.Cmd
	log string // file
}

// recipe is how a server is run: its configuration file, if it has one, and its command line.
type recipe struct {
	config  string // a format of the port
	command func(port uint16) []string
}

// recipes leave all checks at their defaults: each of the three compares the address of a data connection with that of
// the control connection. Both families are served by one instance.
var recipes = map[string]recipe{
	VSFTPD: {
		config: `listen=NO
listen_ipv6=YES
listen_port=%d
background=NO
anonymous_enable=NO
local_enable=YES
write_enable=YES
local_umask=022
connect_from_port_20=YES
pam_service_name=vsftpd
secure_chroot_dir=/run
`,
		command: func(uint16) []string { return []string{"vsftpd", "/conf/config"} },
	},
	ProFTPD: {
		config: `Port %d
ServerName "lab"
ServerType standalone
DefaultServer on
UseIPv6 on
DefaultAddress 0.0.0.0
User nobody
Group nogroup
Umask 022
AllowOverwrite on
UseReverseDNS off
AuthOrder mod_auth_pam.c* mod_auth_unix.c
ScoreboardFile /run/scoreboard
PidFile /run/pid
DelayEngine off
SystemLog none
WtmpLog off
TransferLog none
`,
		command: func(uint16) []string { return []string{"proftpd", "--nodaemon", "--config", "/conf/config"} },
	},
	PureFTPd: {
		command: func(port uint16) []string {
			return []string{"pure-ftpd", "--bind", fmt.Sprintf(",%d", port), "--login", "pam", "--noanonymous",
				"--dontresolve", "--umask", "133:022", "--pidfile", "/run/pid"}
		},
	},
}

// StartServer starts a server in the host on a port of all its addresses, and returns when it greets. Its files, its
// configuration and its log are in dir. It ends with ctx, by Stop or with the lab.
func (t *Tree) StartServer(ctx context.Context, h *lab.Host, name, dir string, port uint16) (*Server, error) {
	r, ok := recipes[name]
	if !ok {
		return nil, fmt.Errorf("no server %q: there are %s", name, strings.Join(Servers, ", "))
	}
	s := &Server{Name: name, Root: filepath.Join(dir, "root"), log: filepath.Join(dir, "log")}
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
	if r.config != "" {
		if err := os.WriteFile(filepath.Join(conf, "config"), fmt.Appendf(nil, r.config, port), 0o644); err != nil {
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

	line := r.command(port)
	s.cmd = t.Command(ctx, h, []Bind{{s.Root, "/srv"}, {conf, "/conf"}}, line[0], line[1:]...)
	s.cmd.Forks = true
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = out, out, out // vsftpd's last words go to where a client would be: stdin
	return s.cmd.Start()
}

// waitReady returns when the server greets in both families.
func (s *Server) waitReady(ctx context.Context, h *lab.Host, port uint16) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Second, errors.New("it does not greet"))
	defer cancel()
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	go func() { giveUp(fmt.Errorf("it ended: %v", s.cmd.Wait())) }() // this goroutine ends with the server
	for _, ip := range []string{"127.0.0.1", "::1"} {
		for {
			err := greets(ctx, h, net.JoinHostPort(ip, fmt.Sprint(port)))
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
func greets(ctx context.Context, h *lab.Host, addr string) error {
	conn, err := h.Dial(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
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
	return string(text)
}
