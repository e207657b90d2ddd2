package nft

import (
	"ftpgate/internal/procfs"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// foreign returns an OwnedError if another living process owns the table.
func (t *Table) foreign(there *nftables.Table) error {
	if there == nil || there.Flags&nftables.TableFlagOwner == 0 {
		return nil
	}
	ours, err := t.conn.GetPortID()
	if err != nil {
		return err
	}
	if there.Owner == ours {
		return nil
	}
	return ownedError(there)
}

// ownedError names the process that owns the table in the kernel without having
// its lock. The owner is known by its netlink port, which usually, but not
// always, is the pid: where we may not look it is taken for that.
func ownedError(t *nftables.Table) error {
	e := &OwnedError{Table: t.Name}
	inode, ok := procfs.Netlink(unix.NETLINK_NETFILTER, t.Owner)
	if !ok {
		return e
	}
	p, ok := procfs.Holder(inode, int(t.Owner))
	if !ok {
		p, ok = procfs.Hidden(int(t.Owner))
	}
	if ok {
		e.PID, e.Program = p.PID, p.Program
	}
	return e
}
