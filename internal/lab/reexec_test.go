package lab_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"

	"golang.org/x/sys/unix"
)

// reexec is the part of a program that an ordinary user runs: it builds a lab and counts what it can reach.
func reexec() int {
	uid := os.Getuid()
	status, ran, err := lab.Reexec()
	if err != nil {
		fmt.Println("refused:", err)
		return 1
	}
	if ran {
		fmt.Printf("user %d saw status %d\n", uid, status)
		return status
	}
	l, err := lab.New(lab.Options{SecondClient: true})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer l.Close()
	ln, err := l.Gateway.Listen("tcp", netip.AddrPortFrom(lab.WanV6, 21).String())
	if err != nil {
		fmt.Println(err)
		return 1
	}
	defer ln.Close()
	out, err := l.Client2.Command(context.Background(), "cat", "/proc/net/fib_trie").CombinedOutput()
	if err != nil || !strings.Contains(string(out), lab.Client2V4.String()) {
		fmt.Printf("%v: %s\n", err, out)
		return 1
	}
	fmt.Printf("user %d built a lab\n", uid)
	return 7
}

// ordinaryUserScript becomes nobody and then the program.
const ordinaryUserScript = `exec setpriv --reuid 65534 --regid 65534 --clear-groups ./program`

// ordinaryUser runs a script beside a copy of this test binary that nobody may execute.
func ordinaryUser(t *testing.T, script string, attr *syscall.SysProcAttr) (string, int) {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab") // not t.TempDir: only the last of its folders would be open to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "program"), self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Dir, cmd.SysProcAttr = dir, attr
	cmd.Env = append(os.Environ(), "LAB_TEST_PART=ordinary user")
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

func TestReexecMakesALabForAnOrdinaryUser(t *testing.T) {
	labtest.NeedRoot(t) // to become nobody
	out, status := ordinaryUser(t, ordinaryUserScript, nil)
	if strings.HasPrefix(out, "refused:") {
		t.Skipf("this kernel has no user namespaces for ordinary users: %s", out)
	}
	if want := "user 0 built a lab\nuser 65534 saw status 7\n"; out != want || status != 7 {
		t.Errorf("status %d, said:\n%swant status 7 and:\n%s", status, out, want)
	}
}

func TestReexecSaysWhatToTypeWhenRefused(t *testing.T) {
	labtest.NeedRoot(t)
	// Inside a user namespace that may hold no others, nobody is refused as on a kernel that allows none.
	all := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 1 << 16}}
	out, status := ordinaryUser(t, "echo 0 >/proc/sys/user/max_user_namespaces; "+ordinaryUserScript,
		&syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWUSER, UidMappings: all, GidMappings: all, GidMappingsEnableSetgroups: true})
	for _, want := range []string{"refused:", "run sudo ./program", "sudo sysctl user.max_user_namespaces="} {
		if !strings.Contains(out, want) {
			t.Errorf("said %q, want %q in it", out, want)
		}
	}
	if status != 1 {
		t.Errorf("status %d, want 1", status)
	}
}
