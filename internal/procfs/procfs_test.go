package procfs

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func listen(t *testing.T, network, address string) netip.AddrPort {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// own is this process as Holder should name it.
func own(t *testing.T) Process {
	t.Helper()
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	return Process{os.Getpid(), strings.TrimSpace(string(name))}
}

func TestListenersHolder(t *testing.T) {
	at4 := listen(t, "tcp4", "127.0.0.1:0")
	at6 := listen(t, "tcp6", "[::1]:0")
	any4 := listen(t, "tcp4", "0.0.0.0:0")
	both := listen(t, "tcp", "[::]:0")
	tests := map[string]netip.AddrPort{
		"the address itself":               at4,
		"its IPv6 spelling":                netip.AddrPortFrom(netip.AddrFrom16(at4.Addr().As16()), at4.Port()),
		"an IPv6 address":                  at6,
		"under a wildcard":                 netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), any4.Port()),
		"a wildcard over an address":       netip.AddrPortFrom(netip.IPv4Unspecified(), at4.Port()),
		"IPv4 under an IPv6 wildcard":      netip.AddrPortFrom(netip.MustParseAddr("127.0.0.9"), both.Port()),
		"an IPv6 wildcard over an address": netip.AddrPortFrom(netip.IPv6Unspecified(), at6.Port()),
	}
	for name, at := range tests {
		t.Run(name, func(t *testing.T) {
			inode, ok := Listener(at)
			if !ok {
				t.Fatalf("nobody listens on %v", at)
			}
			if p, ok := Holder(inode, 1); !ok || p != own(t) {
				t.Errorf("holder of %v: %v %v, want %v", at, p, ok, own(t))
			}
		})
	}
}

func TestNobodyListens(t *testing.T) {
	at := listen(t, "tcp4", "127.0.0.1:0")
	for _, other := range []netip.AddrPort{
		netip.AddrPortFrom(netip.MustParseAddr("127.0.0.2"), at.Port()), // another address
		netip.MustParseAddrPort("127.0.0.1:0"),                          // another port
	} {
		if inode, ok := Listener(other); ok {
			t.Errorf("inode %d listens on %v; want none", inode, other)
		}
	}
}

// A connection from the port of an address is not a listener on it.
func TestConnectionIsNoListener(t *testing.T) {
	at := listen(t, "tcp4", "127.0.0.1:0")
	conn, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	if inode, ok := Listener(local); ok {
		t.Errorf("inode %d listens on %v; want none", inode, local)
	}
}

func TestNetlinkHolder(t *testing.T) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	sa, err := unix.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	port := sa.(*unix.SockaddrNetlink).Pid
	inode, ok := Netlink(unix.NETLINK_ROUTE, port)
	if !ok {
		t.Fatalf("no netlink socket has port %d", port)
	}
	if p, ok := Holder(inode, int(port)); !ok || p != own(t) {
		t.Errorf("holder: %v %v, want %v", p, ok, own(t))
	}
	if inode, ok := Netlink(unix.NETLINK_USERSOCK, port); ok {
		t.Errorf("inode %d has the port of another protocol", inode)
	}
}

func TestNobodyHolds(t *testing.T) {
	if p, ok := Holder(1, os.Getpid()); ok { // sockets have high inodes
		t.Errorf("%v holds a socket that is none", p)
	}
}

func TestProcessWithoutAName(t *testing.T) {
	const none = 1 << 30 // above what a pid can be
	if _, err := os.Stat(filepath.Join("/proc", "1073741824")); err == nil {
		t.Fatal("there is a process with a pid that cannot be")
	}
	if name := Program(none); name != "a process" {
		t.Errorf("Program: %q", name)
	}
}

func TestHiddenProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("hiding a process from this thread takes root")
	}
	hidden := make(chan bool)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread ends with its lost rights
		if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
			t.Error(errno)
		}
		p, ok := Hidden(1)
		hidden <- ok && p.PID == 1 && p.Program == Program(1)
	}()
	if !<-hidden {
		t.Error("a user may not look at process 1, and is not told its name")
	}
	if p, ok := Hidden(os.Getpid()); ok {
		t.Errorf("%v is hidden from itself", p)
	}
}
