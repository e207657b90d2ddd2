package nft

import (
	"ftpgate/internal/procfs"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// ownedError names the process that owns the table. The owner is known by its
// netlink port, which usually, but not always, is the pid.
func ownedError(t *nftables.Table) error {
	e := &OwnedError{Table: t.Name}
	inode, ok := procfs.Netlink(unix.NETLINK_NETFILTER, t.Owner)
	if !ok {
		return e
	}
	if p, ok := procfs.Holder(inode, int(t.Owner)); ok {
		e.PID, e.Program = p.PID, p.Program
	}
	return e
}
