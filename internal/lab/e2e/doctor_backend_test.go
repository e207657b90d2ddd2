package e2e

import (
	"bufio"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpd"
)

// one is a service with one backend, of which little patience is asked.
func one(keys string) string {
	return fmt.Sprintf(oneFamily, "198.51.100.1:21", keys+"\ntimeouts = { connect = \"1s\", greeting = \"1s\" }")
}

// serveFTP runs a server inside; stop ends it.
func serveFTP(t *testing.T, l *lab.Lab, s *ftpd.Server) (stop func()) {
	t.Helper()
	s.Files, s.Listen, s.Dial = ftpd.NewTree(), l.Server.Listen, l.Server.DialFrom
	ctx, cancel := context.WithCancel(context.Background())
	listener, err := l.Server.Listen("tcp", "10.0.0.5:21")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := s.Serve(ctx, listener); err != nil {
			t.Errorf("ftpd: %v", err)
		}
	})
	stop = func() {
		cancel()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// says is a server that answers each connection with a text, and reads until it
// is closed.
func says(t *testing.T, l *lab.Lab, text string) (stop func()) {
	t.Helper()
	listener, err := l.Server.Listen("tcp", "10.0.0.5:21")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer c.Close()
				fmt.Fprint(c, text)
				for lines := bufio.NewScanner(c); lines.Scan(); {
				}
			})
		}
	})
	stop = func() {
		listener.Close()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

// No route: what is printed, with the router's address, makes one.
func TestDoctorBackendRoute(t *testing.T) {
	p := healthy(t, strings.ReplaceAll(one(""), "10.0.0.5", "10.9.0.5"))
	listener, err := p.lab.Server.Listen("tcp", "0.0.0.0:21")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	f := p.found("backend_route", "error", "10.9.0.5", "unreachable")
	_, command, ok := strings.Cut(f.Edit, "or a route: ")
	command, _, _ = strings.Cut(command, ";")
	if !ok || command != "ip route add 10.9.0.5/32 via ROUTER" {
		t.Fatalf("what to do: %s", f.Edit)
	}
	p.shell(strings.Replace(command, "ROUTER", "10.0.0.5", 1))
	p.gone("backend_route")
}

func TestDoctorSourceAddress(t *testing.T) {
	p := healthy(t, one(`source_address = "10.0.0.7"`))
	serveFTP(t, p.lab, &ftpd.Server{})
	f := p.found("backend_route", "error", "10.0.0.5")
	if !strings.Contains(f.Edit, "no interface has source_address, 10.0.0.7") {
		t.Errorf("what to do: %s", f.Edit)
	}
	p.shell("ip address add 10.0.0.7/24 dev lan")
	p.gone("backend_route")
	p.gone("backend")
}

// What a backend must not do. A good server in its place mends it.
func TestDoctorBackend(t *testing.T) {
	tests := map[string]struct {
		text string // "": nobody listens
		want string
	}{
		"is down":      {"", "connection refused"},
		"refuses":      {"421 Too many connections\r\n", "greets with 421 Too many connections, not with 220"},
		"is no server": {"SSH-2.0-OpenSSH_9.2\r\n", "what it says is not FTP"},
		"hangs up":     {"220 Hello\r\n221", "does not answer"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := healthy(t, one(""))
			stop := func() {}
			if test.text != "" {
				stop = says(t, p.lab, test.text)
			}
			p.found("backend", "error", "10.0.0.5:21", test.want)
			stop()
			serveFTP(t, p.lab, &ftpd.Server{})
			p.gone("backend")
		})
	}
}

// One that says nothing at all is given up in time.
func TestDoctorBackendIsSilent(t *testing.T) {
	p := healthy(t, one(""))
	stop := says(t, p.lab, "")
	p.found("backend", "error", "does not greet", "i/o timeout")
	stop()
	serveFTP(t, p.lab, &ftpd.Server{})
	p.gone("backend")
}

// Passive mode before the login.
func TestDoctorBackendPASV(t *testing.T) {
	for reply, severity := range map[string]string{
		"227 Entering Passive Mode":                  "error",
		"227 Entering Passive Mode (10,0,0,300,1,2)": "error",
		"200 OK":                               "error",
		"502 PASV is not implemented":          "warning",
		"425 No ports":                         "warning",
		"530 Please login with USER and PASS.": "",
		"503 Login first":                      "",
		"227 Entering Passive Mode (10,0,0,5,200,10).":                 "",
		"550 SSL/TLS required on the control channel":                  "",
		"331 Password first":                                           "",
		"522-Not yet\r\n522 SSL/TLS required on the control channel\r": "",
	} {
		t.Run(reply, func(t *testing.T) {
			p := healthy(t, one(""))
			stop := serveFTP(t, p.lab, &ftpd.Server{Quirks: ftpd.Quirks{Says: map[string]string{"PASV": reply}}})
			if severity == "" {
				p.gone("backend_pasv")
				p.gone("backend")
				return
			}
			p.found("backend_pasv", severity, reply)
			stop()
			stop = serveFTP(t, p.lab, &ftpd.Server{}) // the server's configuration is corrected
			p.gone("backend_pasv")
			stop()
			serveFTP(t, p.lab, &ftpd.Server{Quirks: ftpd.Quirks{Says: map[string]string{"PASV": reply}}})
			p.configure(one(`modes = ["active"]`)) // or it is meant so
			p.gone("backend_pasv")
		})
	}
}
