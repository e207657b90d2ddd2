package doctor

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"ftpgate/internal/procfs"
)

// daemon is the process that has the table. The zero value is none.
type daemon struct {
	procfs.Process
	runs   bool // somebody has the table
	ours   bool // it is the daemon of this configuration, as far as can be seen
	hidden bool // we have no right to see what it listens on
}

// findDaemon knows the holder of the table by its lock, or by its netlink socket
// where it has no lock. Of two daemons, that of this configuration is the one
// which listens where that says.
func (h *host) findDaemon() daemon {
	d := h.holderOfLock()
	if !d.runs {
		d = h.ownerInKernel()
	}
	if !d.runs {
		return d
	}
	if _, hidden := procfs.Hidden(d.PID); hidden || d.PID == 0 {
		d.hidden, d.ours = true, true
		return d
	}
	d.ours = d.PID == os.Getpid() || h.listens(d.PID)
	return d
}

// listens reports whether a process holds one of our listeners.
func (h *host) listens(pid int) bool {
	for i := range h.services {
		for _, l := range h.services[i].Listen {
			inode, ok := procfs.Listener(l)
			if !ok {
				continue
			}
			if p, ok := procfs.Holder(inode, pid); ok && p.PID == pid {
				return true
			}
		}
	}
	return false
}

// holderOfLock asks the kernel who listens on the lock's socket. Its name is that
// which package nft gives it.
func (h *host) holderOfLock() daemon {
	name := h.file.NFT.Table
	const fits = 64
	if len(name) > fits {
		name = fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	}
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: "@ftpgate/nft/" + name})
	if err != nil {
		return daemon{}
	}
	defer c.Close()
	raw, err := c.SyscallConn()
	if err != nil {
		return daemon{}
	}
	var peer *unix.Ucred
	var asked error
	err = raw.Control(func(fd uintptr) { peer, asked = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err != nil || asked != nil {
		return daemon{}
	}
	pid := int(peer.Pid)
	return daemon{Process: procfs.Process{PID: pid, Program: procfs.Program(pid)}, runs: true}
}

func (h *host) ownerInKernel() daemon {
	all, err := h.ruleset()
	if err != nil {
		return daemon{}
	}
	for _, t := range all.Tables {
		if t.Family != "inet" || t.Name != h.file.NFT.Table || t.Owner == 0 {
			continue
		}
		d := daemon{Process: procfs.Process{Program: "a process"}, runs: true}
		if inode, ok := procfs.Netlink(unix.NETLINK_NETFILTER, t.Owner); ok {
			if p, ok := procfs.Holder(inode, int(t.Owner)); ok {
				d.Process = p
			}
		}
		return d
	}
	return daemon{}
}

// isOurs reports whether a process is the daemon of this configuration.
func (h *host) isOurs(pid int) bool {
	d := h.daemon()
	return pid == os.Getpid() || d.ours && pid == d.PID
}

var errHidden = errors.New("no right to see what the daemon listens on: run as root")

// tableOwner finds a process that has our table and does not serve this
// configuration.
func tableOwner(_ context.Context, h *host) ([]Finding, error) {
	d := h.daemon()
	if d.hidden {
		return nil, errHidden
	}
	if !d.runs || d.ours {
		return nil, nil
	}
	return []Finding{{
		Severity: Error, About: "inet " + h.file.NFT.Table,
		Seen: fmt.Sprintf("table inet %s belongs to %s, which listens on none of the addresses of listen", h.file.NFT.Table, holder(d.Process, true)),
		Why:  "ftpgate run refuses to start: two daemons would remove each other's pinholes",
		Mend: []string{fmt.Sprintf("kill %d", d.PID)},
		Edit: "or write another name in nft.table",
	}}, nil
}

// listener is one TCP socket that listens.
type listener struct {
	at    netip.AddrPort
	inode uint64
}

func (h *host) listeners() ([]listener, error) {
	const listening = 10 // TCP_LISTEN
	var all []listener
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		sockets, err := netlink.SocketDiagTCP(family)
		if err != nil {
			return nil, fmt.Errorf("list listeners: %w", err)
		}
		for _, s := range sockets {
			a, ok := netip.AddrFromSlice(s.ID.Source)
			if s.State != listening || !ok {
				continue
			}
			all = append(all, listener{netip.AddrPortFrom(a.Unmap(), s.ID.SourcePort), uint64(s.INode)})
		}
	}
	return all, nil
}
