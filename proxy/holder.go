package proxy

import (
	"fmt"
	"net/netip"
	"os"

	"ftpgate/internal/procfs"
)

// holder returns who holds a port, for an error message; "" when it cannot be known.
func holder(at netip.AddrPort) string {
	inode, ok := procfs.Listener(at)
	if !ok {
		return ""
	}
	p, ok := procfs.Holder(inode, os.Getpid())
	if !ok {
		return ""
	}
	return fmt.Sprintf(" by %s (pid %d)", p.Program, p.PID)
}
