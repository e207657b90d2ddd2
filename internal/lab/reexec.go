package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// childMark tells the re-executed program that it is alone in a PID namespace of ours.
const childMark = "FTPGATE_LAB_CHILD"

// hostPID is this process's number where Reexec was called first. settleIn sets it.
var hostPID int

// HostPID is this process's number as other programs of the user see it, also from within Reexec's namespaces.
func HostPID() int {
	if hostPID != 0 {
		return hostPID
	}
	return os.Getpid()
}

// InUserNamespace reports whether Reexec has put this process in namespaces of its own.
func InUserNamespace() bool { return hostPID != 0 }

// Reexec makes a lab possible for a user who is not root. It runs the calling program again, with the same arguments,
// as root of a user namespace with a network, a mount and a PID namespace in it, and waits for it: the caller then has
// nothing to do but to exit with status. With ran false the program may already build labs and goes on.
//
//	if status, ran, err := lab.Reexec(); err != nil {
//		return err // says what to type
//	} else if ran {
//		os.Exit(status)
//	}
//
// Call it early: all that the program did before is done a second time. Only one user exists in there, so programs that
// change their user (vsftpd, proftpd, pure-ftpd) do not run.
func Reexec() (status int, ran bool, err error) {
	if os.Geteuid() != 0 {
		status, err = runAsRoot()
		return status, err == nil, err
	}
	if os.Getenv(childMark) != "" && os.Getpid() == 1 {
		if err := settleIn(); err != nil {
			return 0, false, err
		}
	}
	return 0, false, needPrivilege()
}

// runAsRoot runs this program in a user namespace and returns its exit status.
func runAsRoot() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), childMark+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   unix.SIGKILL,
	}

	// The thread that forks must outlive the child: see startProcesses.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 0, refusal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			if s == unix.SIGINT && terminalToldChild() {
				continue
			}
			_ = cmd.Process.Signal(s) // it may have just ended
		case err := <-ended:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
				return exit.ExitCode(), nil
			}
			if err != nil {
				return 0, fmt.Errorf("run in a user namespace: %w", err)
			}
			return 0, nil
		}
	}
}

// terminalToldChild says that an interrupt comes from the keyboard, which sends it to our whole process group.
func terminalToldChild() bool {
	foreground, err := unix.IoctlGetInt(int(os.Stdin.Fd()), unix.TIOCGPGRP)
	return err == nil && foreground == unix.Getpgrp()
}

// settleIn gives the new PID namespace a /proc of its own. Where the kernel refuses (a container that hides parts of
// /proc), the old one serves: everything here goes by "self", which is right in both.
func settleIn() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if self, err := os.Readlink("/proc/self"); err == nil { // the old /proc, that of the outer PID namespace
		hostPID, _ = strconv.Atoi(self)
	}
	_ = unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
	return os.Unsetenv(childMark)
}

// needPrivilege explains what building a lab lacks, or returns nil.
func needPrivilege() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("read the own capabilities: %w", err)
	}
	for _, need := range []struct {
		bit  int
		name string
	}{{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}, {unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"}} {
		if caps[need.bit/32].Effective&(1<<(need.bit%32)) == 0 {
			return fmt.Errorf("making network namespaces takes %s, which this process (user %d) does not have: run %s",
				need.name, os.Geteuid(), withSudo())
		}
	}
	return nil
}

// refusal says why the kernel would not give us a user namespace, as far as its settings tell, and what to type.
func refusal(err error) error {
	settings := []struct{ path, bad, advice string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "sudo sysctl kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/proc/sys/user/max_user_namespaces", "0", "sudo sysctl user.max_user_namespaces=10000"},
	}
	for _, s := range settings {
		value, readErr := os.ReadFile(s.path)
		if readErr == nil && strings.TrimSpace(string(value)) == s.bad {
			return fmt.Errorf("this kernel keeps user namespaces from ordinary users (%w): run %s, or allow them with: %s",
				err, withSudo(), s.advice)
		}
	}
	return fmt.Errorf("make a user namespace: %w: run %s", err, withSudo())
}

// withSudo is the running command line, to be typed as root.
func withSudo() string {
	return "sudo " + strings.Join(os.Args, " ")
}
