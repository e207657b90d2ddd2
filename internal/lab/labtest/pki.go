package labtest

import (
	"errors"
	"net/netip"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/pki"
)

// PKI makes an authority and a server's certificate for all addresses of the gateway and the server, and returns the
// folder with both, as pki writes them.
func PKI(t testing.TB) (*pki.Authority, string) {
	t.Helper()
	ca, err := pki.New()
	if err != nil {
		t.Fatal(err)
	}
	return ca, Certificate(t, ca, pki.Request{
		Names: []string{"ftp.example.com"},
		Addrs: []netip.Addr{lab.WanV4, lab.WanV6, lab.ServerV4, lab.ServerV6},
	})
}

// Certificate has a certificate issued and returns the folder with it and the authority's.
func Certificate(t testing.TB, ca *pki.Authority, r pki.Request) string {
	t.Helper()
	dir := t.TempDir()
	c, err := ca.Issue(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Write(dir), ca.Write(dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}
