package labtest

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
)

// smallSize is odd, and more than one TLS record.
const smallSize = 64<<10 + 7

// Servers with TLS and their clients without a gateway: what fails here is no fault of ftpgate's.
func TestRealServersAndClientsWithTLSWithoutAGateway(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{Routed: true})
	_, certificates := PKI(t)
	m := Matrix{
		Tree: tree, From: l.Client, Size: smallSize, Parallel: true,
		Modes: []debian.Mode{debian.PASV, debian.PORT}, Versions: []string{"1.2", "1.3"},
	}
	for i, name := range debian.Servers {
		for j, mode := range []debian.TLS{debian.Explicit, debian.Implicit} {
			o := debian.ServerOptions{TLS: mode, RequireTLS: true, PKI: certificates}
			if o.Can(name) != nil {
				continue
			}
			port := uint16(2100 + 100*i + 10*j)
			m.Targets = append(m.Targets, Target{
				Name:   fmt.Sprintf("%s-%v", name, mode),
				Server: StartServerWith(t, tree, l.Server, name, port, o),
				V4:     netip.AddrPortFrom(lab.ServerV4, port),
				TLS:    mode, PKI: certificates,
			})
		}
	}
	m.Run(t)
}

// A client that does not resume the control connection's session cannot move data, unless the server is pure-ftpd, which
// takes it as it comes.
func TestServersWantTheSessionResumed(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{Routed: true})
	_, certificates := PKI(t)
	for name, refusal := range map[string]string{
		debian.VSFTPD:  "522 SSL connection failed: session reuse required",
		debian.ProFTPD: "425 Unable to build data connection: Operation not permitted",
	} {
		o := debian.ServerOptions{TLS: debian.Explicit, PKI: certificates}
		s := StartServerWith(t, tree, l.Server, name, 21, o)
		for _, version := range []string{"1.2", "1.3"} {
			job := debian.Job{
				Client: "ftplib", Mode: debian.PASV, Server: netip.AddrPortFrom(lab.ServerV4, 21), Dir: t.TempDir(),
				TLS: debian.Explicit, PKI: certificates, Anew: true, Version: version,
			}
			_, transcript, err := tree.List(t.Context(), l.Client, job)
			if err == nil || !strings.Contains(transcript, refusal) {
				t.Errorf("%s, TLS %s: %v, want %q in\n%s", name, version, err, refusal, transcript)
			}
		}
		s.Stop()
	}
}

func TestServersWithTLSRequiredRefuseLoginsInClear(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{Routed: true})
	_, certificates := PKI(t)
	for _, name := range debian.Servers {
		o := debian.ServerOptions{TLS: debian.Explicit, RequireTLS: true, PKI: certificates}
		s := StartServerWith(t, tree, l.Server, name, 21, o)
		job := debian.Job{Client: "ftplib", Mode: debian.PASV, Server: netip.AddrPortFrom(lab.ServerV4, 21), Dir: t.TempDir()}
		_, transcript, err := tree.List(t.Context(), l.Client, job)
		if err == nil || strings.Contains(transcript, "\n*resp* '230") {
			t.Errorf("%s let a client in without TLS:\n%s", name, transcript)
		}
		s.Stop()
	}
}

// What a server behind a gateway that sees nothing must be told: its public address and its ports.
func TestServersSayTheAddressAndPortsAskedFor(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{Routed: true})
	for _, name := range debian.Servers {
		s := StartServerWith(t, tree, l.Server, name, 21, debian.ServerOptions{Address: lab.WanV4, Ports: [2]uint16{50000, 50099}})
		c, err := ftpc.Dial(l.Client, netip.AddrPortFrom(lab.ServerV4, 21).String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Login(); err != nil {
			t.Fatal(err)
		}
		d, err := c.SetUp("PASV")
		if err != nil {
			t.Fatal(err)
		}
		if d.At.Addr() != lab.WanV4 || d.At.Port() < 50000 || d.At.Port() > 50099 {
			t.Errorf("%s says %v, want %v and a port from 50000 to 50099", name, d.At, lab.WanV4)
		}
		c.Close()
		s.Stop()
	}
}
