package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Host is one network namespace. Its methods may be used from several goroutines, close excepted.
type Host struct {
	Name string

	ns     netns.NsHandle
	starts chan startRequest // to the thread that starts processes

	mu   sync.Mutex
	cmds []*Cmd // started; close ends them
}

// newHost makes a namespace with its loopback still down.
func newHost(name string) (*Host, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	h := &Host{Name: name, ns: ns, starts: make(chan startRequest)}
	entered := make(chan error)
	go h.startProcesses(entered)
	if err := <-entered; err != nil {
		ns.Close()
		return nil, err
	}
	return h, nil
}

// newNamespace returns a namespace that nothing but the returned handle holds.
func newNamespace() (netns.NsHandle, error) {
	ns := netns.None()
	err := onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("make a network namespace: %w", err)
		}
		var err error
		ns, err = currentNamespace()
		return err
	})
	return ns, err
}

// onOwnThread runs f, which may change the network namespace of its thread, and puts the thread back.
func onOwnThread(f func() error) error {
	runtime.LockOSThread()
	home, err := currentNamespace()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer home.Close()

	ferr := f()
	if err := netns.Set(home); err != nil {
		// The thread stays locked and dies with its goroutine: nobody else must run in the wrong namespace.
		return fmt.Errorf("return to the own network namespace: %w", err)
	}
	runtime.UnlockOSThread()
	return ferr
}

// currentNamespace does not use netns.Get: that goes by process id, which is another one in a PID namespace.
func currentNamespace() (netns.NsHandle, error) {
	ns, err := netns.GetFromPath("/proc/thread-self/ns/net")
	if err != nil {
		return ns, fmt.Errorf("open the own network namespace: %w", err)
	}
	return ns, nil
}

// Do runs f in the host. Sockets that f opens belong to the host for good; goroutines that f starts do not run in it.
func (h *Host) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := netns.Set(h.ns); err != nil {
			return fmt.Errorf("enter %s: %w", h.Name, err)
		}
		return f()
	})
}

// Namespace returns the descriptor that holds the host's network namespace, for libraries that want one. It stays the
// host's: do not close it.
func (h *Host) Namespace() int {
	return int(h.ns)
}

// Listen is net.Listen in the host. The address is a literal: names would be resolved outside.
func (h *Host) Listen(network, addr string) (net.Listener, error) {
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = net.Listen(network, addr)
		return err
	})
	return ln, err
}

// Dial connects from the host. The address is a literal: names would be resolved outside.
func (h *Host) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return h.DialFrom(ctx, network, nil, addr)
}

// DialFrom is Dial from a local address; connections from one port may follow each other and stand side by side, as
// those from an FTP server's port 20 do.
func (h *Host) DialFrom(ctx context.Context, network string, from net.Addr, addr string) (net.Conn, error) {
	var c net.Conn
	err := h.Do(func() (err error) {
		// Without a fallback the dialer opens its socket on this goroutine, hence on this thread.
		d := net.Dialer{LocalAddr: from, FallbackDelay: -1}
		if from != nil {
			d.Control = reuseAddress
		}
		c, err = d.DialContext(ctx, network, addr)
		return err
	})
	return c, err
}

func reuseAddress(_, _ string, c syscall.RawConn) error {
	var opt error
	err := c.Control(func(fd uintptr) { opt = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1) })
	return errors.Join(err, opt)
}

// Sysctl sets a network parameter of the host, "net.ipv4.ip_forward".
func (h *Host) Sysctl(key, value string) error {
	return h.Do(func() error {
		// Interface names may hold dots; ours do not.
		path := filepath.Join("/proc/sys", strings.ReplaceAll(key, ".", "/"))
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("%s: set %s to %s: %w", h.Name, key, value, err)
		}
		return nil
	})
}

// close ends the host's processes and lets go of its namespace.
func (h *Host) close() error {
	h.mu.Lock()
	cmds := h.cmds
	h.cmds = nil
	h.mu.Unlock()
	for _, c := range cmds {
		c.Stop()
	}
	close(h.starts)
	return h.ns.Close()
}
