package nft

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Features are what newer kernels have and we can do without.
type Features struct {
	Owner   bool // tables with an owner that persist (Linux 6.9)
	Destroy bool // deleting what may be missing (Linux 6.3)
}

func (f Features) without(w Features) Features {
	return Features{Owner: f.Owner && !w.Owner, Destroy: f.Destroy && !w.Destroy}
}

// probe tries each feature in a transaction that leaves nothing behind. It is
// also the first write, so that missing rights and a missing nf_tables show here.
func probe(c *nftables.Conn) (Features, error) {
	name := fmt.Sprintf("ftpgate-probe-%d", os.Getpid())
	plain := &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
	owned := &nftables.Table{Name: name, Family: nftables.TableFamilyINet,
		Flags: nftables.TableFlagOwner | nftables.TableFlagPersist}

	var f Features
	_, err := supported(c, func() { c.AddTable(plain); c.DelTable(plain) })
	if err == nil {
		f.Owner, err = supported(c, func() { c.AddTable(owned); c.DelTable(owned) })
	}
	if err == nil {
		f.Destroy, err = supported(c, func() { c.DestroyTable(plain) })
	}
	switch {
	case errors.Is(err, unix.EPERM):
		return f, ErrPermission
	case err != nil:
		return f, fmt.Errorf("probe the kernel's nftables: %w", err)
	}
	return f, nil
}

func supported(c *nftables.Conn, enqueue func()) (bool, error) {
	enqueue()
	err := c.Flush()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return false, nil
	}
	return err == nil, err
}
