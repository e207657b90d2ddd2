package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Cmd is an exec.Cmd that starts inside a host. It dies with the lab.
type Cmd struct {
	*exec.Cmd

	// Forks says that the program leaves children behind or gives up its user id, as FTP servers do. It then runs in a
	// PID namespace of its own, under a shell as that namespace's init: the kernel forgets a parent-death signal when
	// a process changes its user, the shell never does, and with the init everything in the namespace dies.
	Forks bool

	host   *Host
	waited sync.Once
	result error
}

type startRequest struct {
	cmd  *exec.Cmd
	done chan error
}

// Command prepares a program to run in the host until it ends, ctx does, or the lab is closed.
func (h *Host) Command(ctx context.Context, name string, args ...string) *Cmd {
	c := &Cmd{Cmd: exec.CommandContext(ctx, name, args...), host: h}
	c.SysProcAttr = new(syscall.SysProcAttr)
	c.WaitDelay = 2 * time.Second // a grandchild that holds our pipe must not hold us
	return c
}

// Start starts the command in its host.
func (c *Cmd) Start() error {
	if c.Err != nil {
		return c.Err // not found
	}
	c.SysProcAttr.Pdeathsig = unix.SIGKILL
	if c.Forks {
		// The exit after the command keeps the shell from replacing itself with it.
		c.Args = append([]string{"sh", "-c", `"$@"; exit $?`, "sh", c.Path}, c.Args[1:]...)
		c.Path = "/bin/sh"
		c.SysProcAttr.Cloneflags |= unix.CLONE_NEWPID
	}
	req := startRequest{c.Cmd, make(chan error)}
	c.host.starts <- req
	if err := <-req.done; err != nil {
		return fmt.Errorf("%s: %w", c.host.Name, err)
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.host.cmds = append(c.host.cmds, c)
	return nil
}

// Wait waits for the command to end; unlike exec.Cmd's, it may be called more than once.
func (c *Cmd) Wait() error {
	c.waited.Do(func() { c.result = c.Cmd.Wait() })
	return c.result
}

// Run starts the command and waits for it.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// CombinedOutput runs the command and returns what it wrote.
func (c *Cmd) CombinedOutput() ([]byte, error) {
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	return out.Bytes(), err
}

// Output runs the command and returns its standard output.
func (c *Cmd) Output() ([]byte, error) {
	var out, complaint bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaint
	err := c.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		exit.Stderr = complaint.Bytes()
	}
	return out.Bytes(), err
}

// Stop kills the command, with all its children if it Forks, and waits until it is gone.
func (c *Cmd) Stop() {
	if c.Process == nil {
		return // never started
	}
	_ = c.Process.Kill() // it may have ended by itself
	_ = c.Wait()
}

// startProcesses is the one thread that starts the host's processes. A parent-death signal is sent when the thread that
// forked dies, not the process: so that thread must live exactly as long as the host, which no thread of the Go
// scheduler's pool promises.
func (h *Host) startProcesses(entered chan<- error) {
	runtime.LockOSThread() // never unlocked: the thread ends with this function
	err := netns.Set(h.ns)
	if err != nil {
		err = fmt.Errorf("enter the new namespace: %w", err)
	}
	entered <- err
	for req := range h.starts {
		req.done <- req.cmd.Start()
	}
}
