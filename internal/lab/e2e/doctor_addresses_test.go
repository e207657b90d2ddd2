package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const (
	elsewhere = "198.51.100.9" // of the gateway's network, and on no interface
	oneFamily = "[[service]]\nname = \"files\"\nlisten = [%q]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n%s\n"
)

// An address of listen that is on no interface: what is printed gives it to one.
func TestDoctorListenAddress(t *testing.T) {
	p := healthy(t, fmt.Sprintf(oneFamily, elsewhere+":21", ""))
	startFTPD(t, p.lab)
	f := p.found("listen_address", "notice", elsewhere)
	_, command, ok := strings.Cut(f.Edit, "give it to this host: ")
	if !ok || command != "ip address add "+elsewhere+"/32 dev wan" {
		t.Fatalf("what to do: %s", f.Edit)
	}
	p.shell(command)
	p.gone("listen_address")
	p.start()
	login(t, p.lab.Client, elsewhere+":21")
}

// Where nothing has the address of advertise, something in front must map it.
func TestDoctorAdvertise(t *testing.T) {
	p := healthy(t, fmt.Sprintf(oneFamily, "198.51.100.1:21", `advertise = "203.0.113.5"`))
	startFTPD(t, p.lab)
	f := p.found("advertise", "notice", "203.0.113.5")
	if !strings.Contains(f.Edit, "TCP ports 21 and 61000-64999 of 203.0.113.5 lead to the same ports of 198.51.100.1") {
		t.Errorf("what to do: %s", f.Edit)
	}
	p.configure(fmt.Sprintf(oneFamily, "198.51.100.1:21", "")) // nothing maps it: leave it out
	p.gone("advertise")
	p.configure(fmt.Sprintf(oneFamily, "198.51.100.1:21", `advertise = "10.0.0.1"`)) // another of ours
	p.gone("advertise")
}

// A private address is told to everybody, unless it is said who everybody is.
func TestDoctorAdvertisePrivate(t *testing.T) {
	p := healthy(t, fmt.Sprintf(oneFamily, "10.0.0.1:21", ""))
	startFTPD(t, p.lab)
	p.found("advertise", "notice", "10.0.0.1, a private address")
	p.configure(fmt.Sprintf(oneFamily, "10.0.0.1:21", `clients = ["10.0.0.0/24"]`))
	p.gone("advertise")
}

// Somebody else listens where we are to.
func TestDoctorListenTaken(t *testing.T) {
	for name, at := range map[string]string{"the address": "198.51.100.1", "every address": "0.0.0.0"} {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			squatter := p.listener(at, 21)
			f := p.found("listen_taken", "error", fmt.Sprintf("(pid %d)", squatter.Process.Pid), "198.51.100.1:21")
			wantCommand(t, f, fmt.Sprintf("kill %d", squatter.Process.Pid))
			p.mend(f)
			_ = squatter.Wait() // by a signal
			p.gone("listen_taken")
			p.start()
			p.gone("listen_taken")
		})
	}
}

// Somebody listens on a port for data.
func TestDoctorPortTaken(t *testing.T) {
	p := usual(t, "", "")
	other := p.listener("0.0.0.0", 64990)
	p.listener("127.0.0.1", 64000) // nobody dials that from outside
	p.listener("10.0.0.1", 63000)  // not where clients dial
	f := p.found("port_taken", "warning", fmt.Sprintf("(pid %d) listens on 0.0.0.0:64990, a port of 61000-64999", other.Process.Pid))
	if !strings.Contains(f.Edit, "write ports without 64990") {
		t.Errorf("what to do: %s", f.Edit)
	}
	p.configure(fmt.Sprintf(services, `ports = "61000-64989"`)) // as it says
	p.gone("port_taken")
	p.configure(fmt.Sprintf(services, ""))
	p.found("port_taken", "warning")
	other.Stop() // or move that program
	p.gone("port_taken")
}

// What the daemon itself has open is not in its own way.
func TestDoctorOwnPorts(t *testing.T) {
	p := usual(t, "data = \"relay\"", "[metrics]\nlisten = \"0.0.0.0:64321\"\n")
	p.cmd = p.lab.Gateway.Command(t.Context(), program, "run", "-c", p.config)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon is ready", func() bool { return strings.Contains(p.log.String(), "msg=ready") })
	p.gone("port_taken")
	p.gone("table_owner")
}
