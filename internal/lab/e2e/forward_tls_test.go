package e2e

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
	"ftpgate/internal/lab/pki"
)

// outsideCertificate is for the host outside; the folder has both files.
func outsideCertificate(t *testing.T) (*pki.Authority, string) {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	return ca, labtest.Certificate(t, ca, pki.Request{Addrs: []netip.Addr{lab.ClientV4, lab.ClientV6}})
}

// trusting is a client's TLS to a server with a certificate of an authority.
func trusting(ca *pki.Authority, server string) *tls.Config {
	return &tls.Config{RootCAs: ca.Pool(), ServerName: server}
}

// TestForwardTLSMatrix is TLS from clients inside to servers outside, whose
// certificates they verify: the gateway sees nothing, and passive data goes as
// any other traffic does by the admin's masquerade.
func TestForwardTLSMatrix(t *testing.T) {
	t.Parallel()
	tree := labtest.Tree(t)
	l := forwardLab(t)
	_, dir := outsideCertificate(t)
	loadRules(t, tree, l.Gateway, masquerade)
	m := labtest.Matrix{
		Tree: tree, From: l.Server, Size: smallFile, Parallel: true, Modes: []debian.Mode{debian.PASV, debian.EPSV},
		Targets: outsideTargets(t, tree, l, debian.ServerOptions{TLS: debian.Explicit, RequireTLS: true, PKI: dir}),
		Except:  fewer,
	}
	g := startForward(t, l, theirPorts, "")
	m.Run(t)
	if n := len(g.pinholes()); n != 0 {
		t.Errorf("%d pinholes are open for TLS that nobody reads", n)
	}
}

// Active data cannot come: nobody rewrites a PORT that nobody reads. Before AUTH
// the gateway does.
func TestForwardTLSHasNoActiveData(t *testing.T) {
	tree := labtest.Tree(t)
	for _, name := range debian.Servers {
		t.Run(name, func(t *testing.T) {
			l := forwardLab(t)
			ca, dir := outsideCertificate(t)
			labtest.StartServerWith(t, tree, l.Client, name, 21, debian.ServerOptions{TLS: debian.Explicit, PKI: dir})
			loadRules(t, tree, l.Gateway, masquerade)
			startForward(t, l, "", "")
			clear := login(t, l.Server, outside4)
			if _, err := clear.Download(setUp(t, clear, "PORT"), "LIST"); err != nil {
				t.Errorf("PORT in clear: %v", err)
			}
			for at, modes := range map[string][]string{outside4: {"PORT", "EPRT"}, outside6: {"EPRT"}} {
				c, err := ftpc.Dial(l.Server, at)
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				host := netip.MustParseAddrPort(at).Addr().String()
				if err := c.Auth(trusting(ca, host), ""); err != nil {
					t.Fatal(err)
				}
				if err := c.Protect(); err != nil {
					t.Fatal(err)
				}
				if err := c.Login(); err != nil {
					t.Fatal(err)
				}
				for _, mode := range modes {
					wantNoActive(t, c, mode)
				}
			}
		})
	}
}

// wantNoActive wants the server's refusal. ProFTPD takes a private address for the
// one that it sees, which is the gateway's, where nobody waits.
func wantNoActive(t *testing.T, c *ftpc.Client, mode string) {
	t.Helper()
	d, err := c.SetUp(mode)
	if err == nil {
		_, err = c.Download(d, "LIST")
	}
	if err == nil || !strings.Contains(err.Error(), "set-up refused: 5") && !strings.Contains(err.Error(), "425") {
		t.Errorf("%s: %v, want the server's refusal", mode, err)
	}
}

// With tls.mode = "refuse" clients get a 534 and go on in clear.
func TestForwardTLSRefused(t *testing.T) {
	tree := labtest.Tree(t)
	l := forwardLab(t)
	ca, dir := outsideCertificate(t)
	labtest.StartServerWith(t, tree, l.Client, debian.VSFTPD, 21, debian.ServerOptions{TLS: debian.Explicit, PKI: dir})
	startForward(t, l, `tls.mode = "refuse"`, "")
	for at, modes := range inwardModes {
		c, err := ftpc.Dial(l.Server, at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.Auth(trusting(ca, "any"), ""); err == nil || !strings.Contains(err.Error(), "534") {
			t.Errorf("%s: AUTH: %v, want 534", at, err)
		}
		if err := c.Login(); err != nil {
			t.Fatal(err)
		}
		for _, mode := range modes {
			if _, err := c.Download(setUp(t, c, mode), "LIST"); err != nil {
				t.Errorf("%s: %v", fmt.Sprint(at, " ", mode), err)
			}
		}
	}
}
