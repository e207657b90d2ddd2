package procfs

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// sockets are the tables of sockets of this thread's network namespace.
const sockets = "/proc/thread-self/net/"

// find returns the inode that stands in a column of the first line of a table
// that matches.
func find(table string, column int, matches func(columns []string) bool) (inode uint64, ok bool) {
	f, err := os.Open(sockets + table)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		columns := strings.Fields(lines.Text())
		if len(columns) <= column || !matches(columns) {
			continue
		}
		if inode, err = strconv.ParseUint(columns[column], 10, 64); err == nil {
			return inode, true
		}
	}
	return 0, false
}

// Netlink returns the inode of the netlink socket with a protocol and a port.
// The columns are sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode.
func Netlink(protocol int, port uint32) (inode uint64, ok bool) {
	eth, pid := strconv.Itoa(protocol), strconv.FormatUint(uint64(port), 10)
	return find("netlink", 9, func(c []string) bool { return c[1] == eth && c[2] == pid })
}

// Listener returns the inode of the TCP socket that listens where at would. An
// IPv6 wildcard counts for IPv4 too: it usually takes both. The columns begin
// with sl local_address rem_address st, and inode is the tenth.
func Listener(at netip.AddrPort) (inode uint64, ok bool) {
	const state, listening = 3, "0A"
	matches := func(c []string) bool {
		local, ok := parseLocal(c[1])
		return ok && c[state] == listening && local.Port() == at.Port() &&
			(local.Addr() == at.Addr().Unmap() || local.Addr().IsUnspecified() || at.Addr().IsUnspecified())
	}
	if at.Addr().Unmap().Is4() {
		if inode, ok = find("tcp", 9, matches); ok {
			return inode, true
		}
	}
	return find("tcp6", 9, matches)
}

// parseLocal reads an address as the kernel prints it: 32-bit words in the
// machine's byte order, a colon, the port in the usual one.
func parseLocal(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), ok && err == nil
}
