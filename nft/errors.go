package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

var (
	// ErrFull says that the map has no room. Used and expired elements count
	// until the kernel sweeps them, about once a second: try again after that.
	ErrFull = errors.New("the map of pinholes is full")

	// ErrExists says that another pinhole for the same address and port is open.
	ErrExists = errors.New("another pinhole is open for the same client, address and port")

	// ErrMissing says that the pinhole to renew is no longer there: used,
	// expired or closed.
	ErrMissing = errors.New("the pinhole is no longer in the kernel")

	// ErrGone says that the table is gone, and was again after it had been
	// reinstalled once.
	ErrGone = errors.New("the table is gone from the kernel")

	// ErrClosed says that the Table was released or removed.
	ErrClosed = errors.New("the table was released")

	// ErrNoTable says that there is no table of that name.
	ErrNoTable = errors.New("there is no table")

	// ErrPermission says what a process needs and how to grant it.
	ErrPermission = errors.New("no right to change nftables (CAP_NET_ADMIN): run as root, or grant it with: " +
		"setcap cap_net_admin,cap_net_bind_service+ep $(command -v ftpgate)")

	// ErrUnsupported says that the kernel cannot do what the table needs.
	ErrUnsupported = errors.New("this kernel has no nf_tables with inet nat (Linux 5.10 or later with CONFIG_NF_TABLES_INET and CONFIG_NFT_NAT)")
)

// OwnedError says that a living process has the table: it holds its lock or owns
// it in the kernel.
type OwnedError struct {
	Table   string
	PID     int    // 0 when it cannot be found, as in another pid namespace
	Program string // its name, "" with PID 0
}

func (e *OwnedError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("table inet %s belongs to another process, which cannot be seen from here: stop it or use another table name", e.Table)
	}
	return fmt.Sprintf("table inet %s belongs to %s (pid %d): stop it or use another table name", e.Table, e.Program, e.PID)
}

// classify gives an error of an element write the name that callers match.
func classify(err error) error {
	switch {
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("%w: %w", ErrFull, err)
	case errors.Is(err, unix.EEXIST), errors.Is(err, unix.EBUSY): // EBUSY before Linux 5.7
		return fmt.Errorf("%w: %w", ErrExists, err)
	case errors.Is(err, unix.ENOENT):
		return fmt.Errorf("%w: %w", ErrGone, err)
	}
	return err
}
