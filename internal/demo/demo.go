// Package demo shows the whole gateway on one machine: a client outside, the
// gateway, and a server inside, as network namespaces. Traffic goes nowhere
// else, and nothing of the host changes.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/nft"
)

// Options says what to show. The zero value shows the transfers and ends.
type Options struct {
	Stay   bool     // afterwards stay up until the context ends
	Shell  bool     // afterwards give a shell on the client's host
	Daemon []string // the command line of the gateway; the configuration is appended
	Out    io.Writer
}

const configuration = `[[service]]
name     = "demo"
listen   = ["198.51.100.1:21", "[2001:db8:1::1]:21"]
backends = ["10.0.0.5:21", "[fd00:10::5]:21"]
tls.mode = "refuse"
`

// besides keeps the demo's daemon apart from one that runs on this host.
const besides = `
[admin]
socket = ""
[log]
level = "warn"
`

// fileSize is that of the file that is downloaded and uploaded.
const fileSize = 4 << 20

// show is a running demo.
type show struct {
	Options
	lab    *lab.Lab
	files  *ftpd.Tree
	file   []byte
	heard  *recorder // the control connections as the server has them
	folder string
}

// Run builds the lab, shows the transfers and takes everything down again. It
// fails if one of the transfers did.
func Run(ctx context.Context, o Options) (err error) {
	s := &show{Options: o, files: ftpd.NewTree(), heard: &recorder{}}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.say("Building a client, a gateway and a server as network namespaces …")
	if s.lab, err = lab.New(lab.Options{}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.lab.Close()) }()
	if s.folder, err = os.MkdirTemp("", "ftpgate-demo-"); err != nil {
		return err
	}
	defer os.RemoveAll(s.folder)
	if err := s.startServer(ctx); err != nil {
		return fmt.Errorf("start the FTP server: %w", err)
	}
	if err := s.startGateway(ctx); err != nil {
		return fmt.Errorf("start the gateway: %w", err)
	}
	if err := s.transfers(ctx); err != nil {
		return err
	}
	return s.after(ctx)
}

func (s *show) say(format string, args ...any) { fmt.Fprintf(s.Out, format+"\n", args...) }

// startServer puts the embedded FTP server inside, with a file to fetch.
func (s *show) startServer(ctx context.Context) error {
	s.file = make([]byte, fileSize)
	random := rand.NewChaCha8([32]byte([]byte("the same file in every demo, ok!")))
	_, _ = random.Read(s.file)
	if err := errors.Join(s.files.Put("/hello.bin", s.file), s.files.Put("/hello.txt", []byte("Hello from the inside.\n"))); err != nil {
		return err
	}
	server := &ftpd.Server{Files: s.files, Greeting: "embedded FTP server", Listen: s.lab.Server.Listen, Dial: s.lab.Server.DialFrom}
	for _, at := range []string{"10.0.0.5:21", "[fd00:10::5]:21"} {
		l, err := s.lab.Server.Listen("tcp", at)
		if err != nil {
			return err
		}
		go server.Serve(ctx, recordingListener{l, s.heard}) // its end is ctx's
	}
	return nil
}

// startGateway runs the daemon in the gateway's namespace and waits for it.
func (s *show) startGateway(ctx context.Context) error {
	path := filepath.Join(s.folder, "ftpgate.toml")
	if err := os.WriteFile(path, []byte(configuration+besides), 0o600); err != nil {
		return err
	}
	s.say("\nThe gateway's configuration:\n\n%s", indent(configuration))
	gateway := s.lab.Gateway.Command(ctx, s.Daemon[0], append(s.Daemon[1:], path)...)
	gateway.Stdout, gateway.Stderr = s.Out, s.Out
	if err := gateway.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- gateway.Wait() }()
	for {
		conn, err := s.lab.Client.Dial(ctx, "tcp", "198.51.100.1:21")
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return fmt.Errorf("it ended at once: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// pinholes asks the kernel, in the gateway's namespace.
func (s *show) pinholes() (list []nft.Listed, err error) {
	err = s.lab.Gateway.Do(func() error {
		list, err = nft.Pinholes(nft.DefaultName)
		return err
	})
	return list, err
}

// after leaves the lab to the user, if that is wanted.
func (s *show) after(ctx context.Context) error {
	switch {
	case s.Shell:
		return s.shell(ctx)
	case s.Stay:
		return s.stay(ctx)
	}
	return nil
}

const metricsInside = "127.0.0.1:9421"

// stay keeps the lab up until ctx ends. In a user namespace nothing of the
// host can be listened on, so there all is reached by entering the lab.
func (s *show) stay(ctx context.Context) error {
	pid := lab.HostPID()
	enter := func(h *lab.Host) string {
		user := ""
		if lab.InUserNamespace() {
			user = "-t " + fmt.Sprint(pid) + " -U --preserve-credentials "
		}
		return fmt.Sprintf("nsenter %s--net=/proc/%d/fd/%d", user, pid, h.Namespace())
	}
	s.say("\nThe lab stays up until Ctrl-C. From another terminal:\n")
	s.say("  as the client:  %s curl ftp://demo:demo@198.51.100.1/hello.txt", enter(s.lab.Client))
	s.say("  the pinholes:   %s nft list map inet ftpgate dnat4", enter(s.lab.Gateway))
	if l, err := net.Listen("tcp", metricsInside); err == nil && !lab.InUserNamespace() {
		go s.forward(ctx, l)
		s.say("  the metrics:    curl http://%s/metrics", l.Addr())
	} else {
		s.say("  the metrics:    %s curl http://%s/metrics", enter(s.lab.Gateway), metricsInside)
	}
	<-ctx.Done()
	s.say("\nTaking the lab down.")
	return nil
}

// forward carries connections of the host to the gateway's metrics.
func (s *show) forward(ctx context.Context, l net.Listener) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			inside, err := s.lab.Gateway.Dial(ctx, "tcp", metricsInside)
			if err != nil {
				return
			}
			defer inside.Close()
			go func() {
				_, _ = io.Copy(inside, conn)
				inside.Close()
			}()
			_, _ = io.Copy(conn, inside)
		}()
	}
}

// shell runs the user's shell on the client's host.
func (s *show) shell(ctx context.Context) error {
	name := os.Getenv("SHELL")
	if name == "" {
		name = "/bin/sh"
	}
	s.say("\nA shell on the client's host: curl ftp://demo:demo@198.51.100.1/hello.txt; exit ends the demo.")
	shell := s.lab.Client.Command(ctx, name)
	shell.Stdin, shell.Stdout, shell.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := shell.Start(); err != nil {
		return err
	}
	_ = shell.Wait() // the status of the last command in it is no failure of ours
	return nil
}
