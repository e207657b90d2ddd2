// Package labtest is the lab for tests: it skips where there is no root, closes what it opens, and drives real FTP
// clients against whatever answers at an address.
package labtest

import (
	"os"
	"testing"

	"ftpgate/internal/lab"
)

// NeedRoot skips the test of an ordinary user.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("making network namespaces takes root")
	}
}

// New builds a lab for one test.
func New(t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	NeedRoot(t)
	l, err := lab.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close the lab: %v", err)
		}
	})
	return l
}
