package e2e

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
	"ftpgate/internal/lab/pki"
)

// smallFile is the size of the files with TLS: odd, and more than one record.
const smallFile = 64<<10 + 7

// certificates are the two worlds of a gateway that ends TLS: clients trust one
// authority, the gateway another.
type certificates struct{ outside, inside string } // folders as labtest.PKI leaves them

func newCertificates(t testing.TB) certificates {
	t.Helper()
	_, outside := labtest.PKI(t)
	_, inside := labtest.PKI(t)
	return certificates{outside, inside}
}

// terminate is the [service.tls] of a gateway with these certificates, without
// its brackets; with more keys.
func (c certificates) terminate(keys ...string) string {
	keys = append([]string{
		`mode = "terminate"`,
		fmt.Sprintf("certificate = %q", filepath.Join(c.outside, pki.CertFile)),
		fmt.Sprintf("key = %q", filepath.Join(c.outside, pki.KeyFile)),
	}, keys...)
	return "tls = { " + strings.Join(keys, ", ") + " }\n"
}

// backend is the [service.backend_tls] for servers with these certificates.
func (c certificates) backend(mode debian.TLS) string {
	if mode == debian.NoTLS {
		return "backend_tls.mode = \"clear\"\n"
	}
	return fmt.Sprintf("backend_tls = { mode = %q, ca = %q }\n", mode, filepath.Join(c.inside, pki.CAFile))
}

// behind starts a server and returns the service in front of it as a part of a
// configuration, with more keys, and as a target. Clients dial the port.
func behind(t *testing.T, tree *debian.Tree, l *lab.Lab, name string, port uint16, o debian.ServerOptions, keys string) (string, labtest.Target) {
	t.Helper()
	inside := 10_000 + port
	target := labtest.Target{
		Name:   fmt.Sprintf("%s-%v", name, o.TLS),
		Server: labtest.StartServerWith(t, tree, l.Server, name, inside, o),
		V4:     netip.AddrPortFrom(lab.WanV4, port),
	}
	service := fmt.Sprintf("[[service]]\nname = %q\nlisten = [%q]\nbackends = [%q]\n", target.Name,
		target.V4, netip.AddrPortFrom(lab.ServerV4, inside))
	return service + keys, target
}

// tlsMatrix is a matrix of clients of TLS. curl with TLS 1.2 is not in it: it
// resumes sessions by their numbers, which Go's TLS does not know.
// TestTLSDataWithoutResumption has it.
func tlsMatrix(tree *debian.Tree, l *lab.Lab) labtest.Matrix {
	return labtest.Matrix{
		Tree: tree, From: l.Client, Size: smallFile, Parallel: true, Modes: []debian.Mode{debian.PASV, debian.PORT},
		Versions: []string{"1.2", "1.3"}, Except: func(j debian.Job) bool { return j.Client == "curl" && j.Version == "1.2" },
	}
}

// TestTLSMatrix is TLS that ends at the gateway: servers in clear, with explicit
// and with implicit TLS × clients × passive and active × TLS 1.2 and 1.3.
func TestTLSMatrix(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	c := newCertificates(t)
	m := tlsMatrix(tree, l)
	config := ""
	for i, name := range debian.Servers {
		for j, mode := range []debian.TLS{debian.NoTLS, debian.Explicit, debian.Implicit} {
			o := debian.ServerOptions{TLS: mode, RequireTLS: mode != debian.NoTLS, PKI: c.inside}
			if o.Can(name) != nil {
				continue
			}
			service, target := behind(t, tree, l, name, uint16(2100+100*i+10*j), o, c.terminate("require = true")+c.backend(mode))
			target.TLS, target.PKI = debian.Explicit, c.outside
			config += service
			m.Targets = append(m.Targets, target)
		}
	}
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
	for _, target := range m.Targets {
		for _, direction := range []string{"download", "upload", "listing"} {
			series := fmt.Sprintf("ftpgate_transfers_total{direction=%q,result=\"done\",service=%q}", direction, target.Name)
			if v := g.metric(series); v == "" || v == "0" {
				t.Errorf("%s is %q after the matrix", series, v)
			}
		}
	}
}

// Implicit TLS for clients, as on port 990; servers with every kind of their own.
func TestTLSFromTheFirstByte(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	c := newCertificates(t)
	m := tlsMatrix(tree, l)
	config := ""
	for i, kind := range []struct {
		server string
		tls    debian.TLS
	}{{debian.PureFTPd, debian.NoTLS}, {debian.VSFTPD, debian.Explicit}, {debian.ProFTPD, debian.Implicit}} {
		o := debian.ServerOptions{TLS: kind.tls, RequireTLS: kind.tls != debian.NoTLS, PKI: c.inside}
		service, target := behind(t, tree, l, kind.server, uint16(990+2*i), o, c.terminate("implicit = true")+c.backend(kind.tls))
		target.TLS, target.PKI = debian.Implicit, c.outside
		config += service
		m.Targets = append(m.Targets, target)
	}
	g := prepareGateway(t, l, config)
	g.start()
	m.Run(t)
	g.noPinholes()
}

// Clients that do not resume their control connection's session are refused
// with a 522 as long as the service asks for that, whatever the server does.
func TestTLSDataWithoutResumption(t *testing.T) {
	tree := labtest.Tree(t)
	l := labtest.New(t, lab.Options{})
	c := newCertificates(t)
	config := ""
	var required, free []labtest.Target
	for i, name := range debian.Servers {
		o := debian.ServerOptions{TLS: debian.Explicit, RequireTLS: true, PKI: c.inside}
		service, target := behind(t, tree, l, name, uint16(2100+100*i), o, c.terminate()+c.backend(debian.Explicit))
		required = append(required, target)
		config += service
		target.V4 = netip.AddrPortFrom(lab.WanV4, target.V4.Port()+50)
		free = append(free, target)
		config += fmt.Sprintf("[[service]]\nname = \"%s-free\"\nlisten = [%q]\nbackends = [\"10.0.0.5:%d\"]\n", name, target.V4, 12100+100*i) +
			c.terminate("require_resumption = false") + c.backend(debian.Explicit)
	}
	g := prepareGateway(t, l, config)
	g.start()
	t.Run("required", func(t *testing.T) {
		for _, target := range required {
			for _, job := range unresuming(target, c) {
				t.Run(jobName(target, job), func(t *testing.T) {
					job.Dir = t.TempDir()
					_, transcript, err := tree.List(t.Context(), l.Client, job)
					if err == nil || !regexp.MustCompile(`(?m)^(< |\*resp\* ')522 `).MatchString(transcript) {
						t.Errorf("%v, want a 522:\n%s\nthe server:\n%s", err, transcript, target.Server.Log())
					}
				})
			}
			series := fmt.Sprintf(`ftpgate_refusals_total{reason="tls_not_resumed",service=%q}`, target.Name)
			if v, want := g.metric(series), fmt.Sprint(len(unresuming(target, c))); v != want {
				t.Errorf("%s is %q, want %s", series, v, want)
			}
		}
	})
	t.Run("not required", func(t *testing.T) {
		m := labtest.Matrix{Tree: tree, From: l.Client, Size: smallFile}
		for _, target := range free {
			for _, job := range unresuming(target, c) {
				t.Run(jobName(target, job), func(t *testing.T) { m.Exercise(t, target.Server, job) })
			}
		}
	})
	g.noPinholes()
}

// unresuming are the clients that do not resume, or not so that Go's TLS could
// tell, at a target.
func unresuming(target labtest.Target, c certificates) (jobs []debian.Job) {
	for _, job := range []debian.Job{
		{Client: "ftplib", Anew: true, Mode: debian.PASV, Version: "1.2"},
		{Client: "ftplib", Anew: true, Mode: debian.PASV, Version: "1.3"},
		{Client: "ftplib", Anew: true, Mode: debian.PORT, Version: "1.2"},
		{Client: "ftplib", Anew: true, Mode: debian.PORT, Version: "1.3"},
		{Client: "curl", Mode: debian.PASV, Version: "1.2"},
	} {
		job.Server, job.TLS, job.PKI = target.V4, debian.Explicit, c.outside
		jobs = append(jobs, job)
	}
	return jobs
}

func jobName(target labtest.Target, j debian.Job) string {
	return strings.Join([]string{target.Server.Name, j.Client, string(j.Mode), j.Version}, "/")
}
