package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/labtest"
	"ftpgate/proxy/api"
)

// watchword is the password of all users here. No command, log or record has it.
const watchword = "correct-horse-0815"

// office is where an administrator sits, with the daemon's socket.
type office struct {
	*gateway
	records records
	program string // where an ordinary user can run it
	said    strings.Builder
}

// nobody is an ordinary user and its group.
const nobody = 65534

// Each command does once, with a daemon at work, what its manual says.
func TestCommands(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	trace, traced := o.trace("198.51.100.0/24")
	demo, otto := o.login("demo"), o.login("otto")
	idle, running := o.busy(demo, otto)

	o.looks()
	o.explains()
	o.closes(demo, idle)
	o.kills(otto, running)
	o.drains(demo)
	o.reloads()

	if err := trace.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := trace.Wait(); err != nil {
		t.Errorf("trace ended with %v", err)
	}
	text := traced.String()
	for _, want := range []string{
		`begins: 198\.51\.100\.7:\d+ at files`, `C> USER otto`, `C> PASS \*\*\*\*`, `S> 230 Welcome\.`,
		`S> 227 Entering Passive Mode \(10,0,0,5,\d+,\d+\)\.  →  227 Entering Passive Mode \(198,51,100,1,\d+,\d+\)\.`,
		`S> 550 No such file\.`, `G> 421 `, `  ends`,
	} {
		if !regexp.MustCompile(want).MatchString(text) {
			t.Errorf("the trace lacks %s:\n%s", want, text)
		}
	}
	o.said.WriteString(text)
	o.recorded()
	o.discreet()
}

func newOffice(t *testing.T) *office {
	t.Helper()
	l := labtest.New(t, lab.Options{})
	startFTPD(t, l)
	dir, err := os.MkdirTemp("/tmp", "ftpgate-office-") // t.TempDir is below a folder of root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o := &office{gateway: prepareGateway(t, l, ""), records: newRecords(t), program: filepath.Join(dir, "ftpgate")}
	b, err := os.ReadFile(program)
	if err == nil {
		err = os.WriteFile(o.program, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	o.socket = filepath.Join(dir, "admin.sock")
	o.configure(o.records.config() + fmt.Sprintf(services, ""))
	o.start()
	if info, err := os.Lstat(o.socket); err != nil || info.Mode().Type() != fs.ModeSocket || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v (%v), want mode 0660", info.Mode(), err)
	}
	return o
}

// as runs a command as a user, who is in the group of the same number.
func (o *office) as(uid int, args ...string) (out string, status int) {
	o.t.Helper()
	id := strconv.Itoa(uid)
	line := append([]string{"--reuid=" + id, "--regid=" + id, "--clear-groups", o.program}, args...)
	cmd := o.lab.Gateway.Command(o.t.Context(), "setpriv", append(line, "--socket", o.socket)...)
	b, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	o.said.Write(b)
	return string(b), cmd.ProcessState.ExitCode()
}

// says runs a command as root that must end with a status, and say what matches
// all patterns.
func (o *office) says(command string, want int, patterns ...string) {
	o.t.Helper()
	out, status := o.as(0, strings.Fields(command)...)
	if status != want {
		o.t.Errorf("ftpgate %s: status %d, want %d: %s", command, status, want, out)
	}
	for _, p := range patterns {
		if !regexp.MustCompile("(?m)" + p).MatchString(out) {
			o.t.Errorf("ftpgate %s lacks %s:\n%s", command, p, out)
		}
	}
}

// trace begins to follow clients.
func (o *office) trace(clients string) (*lab.Cmd, *syncBuffer) {
	o.t.Helper()
	out := &syncBuffer{}
	cmd := o.lab.Gateway.Command(o.t.Context(), o.program, "trace", "--client", clients, "--socket", o.socket)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, "the trace has begun", func() bool { return strings.Contains(o.log.String(), "sessions are traced") })
	return cmd, out
}

func (o *office) login(user string) *ftpc.Client {
	o.t.Helper()
	c, err := ftpc.Dial(o.lab.Client, gateway4)
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { c.Close() })
	for _, line := range []string{"USER " + user, "PASS " + watchword} {
		if r, err := c.Do(line); err != nil || r.Code >= 400 {
			o.t.Fatalf("%s: %v, %v", line, r, err)
		}
	}
	return c
}

// busy has one session fail in a transfer and set the next one up, and another
// one in the middle of one.
func (o *office) busy(failing, transferring *ftpc.Client) (next *ftpc.Data, running net.Conn) {
	o.t.Helper()
	setUp(o.t, failing, "PASV")
	if err := failing.Must(5, "RETR /missing"); err != nil {
		o.t.Fatal(err)
	}
	d := setUp(o.t, transferring, "PASV")
	if err := transferring.Send("RETR /zero-1G"); err != nil {
		o.t.Fatal(err)
	}
	running, err := d.Open()
	if err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { running.Close() })
	if _, err := transferring.Expect(1); err != nil {
		o.t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, running, 1<<20); err != nil {
		o.t.Fatal(err)
	}
	return setUp(o.t, failing, "PASV"), running
}

// looks is the commands that show what is going on.
func (o *office) looks() {
	o.t.Helper()
	eventually(o.t, "the failure is known", func() bool {
		out, _ := o.as(0, "status")
		return strings.Contains(out, "1 known")
	})
	o.says("status", 0, `^ftpgate dev, up \S+: ready$`, `^nftables +inet ftpgate, owned`, `^sessions +2 of \d+$`, `^transfers +1 running$`,
		`^pinholes +1 open and unused$`, `^failures +1 known`, `^files +reverse +refuse +2 +1 `)
	out, _ := o.as(0, "status", "--json")
	var st api.Status
	if err := json.Unmarshal([]byte(out), &st); err != nil || !st.Ready || st.Sessions != 2 || st.Transfers != 1 || st.Failures != 1 || len(st.Services) != 1 {
		o.t.Errorf("status --json: %v: %s", err, out)
	}
	o.says("sessions", 0, `198\.51\.100\.7 +otto +files +clear .*RETR /zero-1G: `, `198\.51\.100\.7 +demo +files +clear .*idle`)
	if out, _ := o.as(0, "sessions", "--user", "otto"); strings.Contains(out, "demo") || !strings.Contains(out, "otto") {
		o.t.Errorf("sessions --user otto:\n%s", out)
	}
	o.says("pinholes", 0, `^ +1 +files +PASV +\d+s +198\.51\.100\.7 +198\.51\.100\.1:\d+ +10\.0\.0\.5:\d+$`, `^ +2 +files +PASV +used `)
	o.says("failures", 0, `1\.1 +files +198\.51\.100\.7 +demo +server_error +RETR /missing +The server said no: "550 No such file\."`)
	o.says("failures --user otto", 0, `^no failed transfers are known$`)
}

func (o *office) explains() {
	o.t.Helper()
	for _, how := range []string{"1.1", "1", "--client 198.51.100.7 --last", "--last"} {
		o.says("explain "+how, 0, `^1\.1: RETR /missing of demo failed .*: server_error$`, `^What to do: `, `550 No such file\.`, `closed +PASV`,
			`S> 227 .*→  227 Entering Passive Mode \(198,51,100,1,`, `C> PASS \*\*\*\*$`)
	}
	o.says("explain 2.1", 0, `^2\.1: RETR /zero-1G of otto runs$`)
	o.says("explain 77.1", 1)
	o.says("explain", 2)
}

func (o *office) closes(c *ftpc.Client, d *ftpc.Data) {
	o.t.Helper()
	o.says("close-all", 0, `^closed 1 pinhole$`)
	if n := len(o.pinholes()); n != 0 || dial(o.lab.Client, d) {
		o.t.Errorf("%d pinholes are left", n)
	}
	if _, err := c.Download(setUp(o.t, c, "PASV"), "RETR /zero-1K"); err != nil {
		o.t.Errorf("the next transfer: %v", err)
	}
}

func (o *office) kills(c *ftpc.Client, data net.Conn) {
	o.t.Helper()
	if out, status := o.as(nobody, "kill", "--user", "otto"); status != 1 || !strings.Contains(out, "become root or join the group ftpgate") {
		o.t.Errorf("kill by somebody else: status %d: %s", status, out)
	}
	o.says("kill --user otto", 0, `^ended 1 session: 2$`)
	if r, err := c.Read(); err != nil || r.Code != 421 {
		o.t.Errorf("the killed session reads %v, %v", r, err)
	}
	_ = data.SetDeadline(time.Now().Add(c.Timeout))
	if n, err := io.Copy(io.Discard, data); n == 1<<30 || errors.Is(err, os.ErrDeadlineExceeded) {
		o.t.Errorf("its transfer went on: %d bytes, %v", n, err)
	}
	eventually(o.t, "it is gone", func() bool { return o.metric(`ftpgate_sessions{service="files"}`) == "1" })
	o.says("kill --user otto", 1, `nothing was ended`)
	o.says("kill", 2)
}

// drains is somebody else, who is let use the socket.
func (o *office) drains(c *ftpc.Client) {
	o.t.Helper()
	if err := os.Chown(o.socket, -1, nobody); err != nil {
		o.t.Fatal(err)
	}
	if out, status := o.as(nobody, "drain"); status != 0 || !strings.HasPrefix(out, "draining: new sessions are refused; 1 session left") {
		o.t.Errorf("drain: status %d: %s", status, out)
	}
	if other, err := ftpc.Dial(o.lab.Client, gateway4); err == nil || !strings.Contains(err.Error(), "421 ") {
		o.t.Errorf("a new session while draining: %v, %v", other, err)
	}
	if status, body := o.get("/readyz"); status != 503 || !strings.Contains(body, "drain") || o.metric("ftpgate_draining") != "1" {
		o.t.Errorf("readyz while draining: %d %s", status, body)
	}
	if err := c.Must(2, "NOOP"); err != nil {
		o.t.Errorf("the session from before: %v", err)
	}
	o.says("status", 0, `: draining`)
	o.says("undrain", 0, `^new sessions are let in`)
	o.login("demo").Close()
}

func (o *office) reloads() {
	o.t.Helper()
	o.says("reload", 0, `^the configuration was reloaded$`)
	o.configure("[[service]]\nname = 5\n")
	o.says("reload", 1, `service\[0\]\.name`)
	o.says("status", 0, `: ready$`, `^files `)
}
