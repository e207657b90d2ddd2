package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ftpgate/internal/doctor"
	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
)

// patient is the gateway's host, examined. It has an /etc of its own, and the
// programs of firewalls come from the tree.
type patient struct {
	*gateway
	tree *debian.Tree
	etc  string
	bin  string
}

// healthy is a lab in which the doctor finds nothing: server and addresses are
// there, and no daemon runs.
func healthy(t *testing.T, config string) *patient {
	t.Helper()
	tree := labtest.Tree(t)
	l := newLab(t)
	return &patient{gateway: prepareGateway(t, l, config), tree: tree, etc: t.TempDir(), bin: firewallPrograms(t)}
}

// usual is healthy with the usual service and its server.
func usual(t *testing.T, keys, tables string) *patient {
	t.Helper()
	p := healthy(t, fmt.Sprintf(services, keys)+tables)
	startFTPD(t, p.lab)
	return p
}

// firewallPrograms is a folder with nft and iptables, as a host has them on its
// PATH; they run in the tree.
func firewallPrograms(t testing.TB) string {
	t.Helper()
	cache, err := debian.CacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, program := range map[string]string{
		"nft": "/usr/sbin/nft", "iptables": "/usr/sbin/iptables-nft", "ip6tables": "/usr/sbin/ip6tables-nft",
		"iptables-legacy": "/usr/sbin/iptables-legacy",
	} {
		if _, err := os.Stat(filepath.Join(cache, "tree", program)); err != nil {
			t.Fatalf("the tree is of an older list of packages (get it anew with: make fetch): %v", err)
		}
		script := fmt.Sprintf("#!/bin/sh\nexec chroot %s/tree %s \"$@\"\n", cache, program)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command runs something on the host that is examined.
func (p *patient) command(args ...string) *lab.Cmd {
	script := `mount --make-rprivate / && mount --bind "$1" /etc && shift && exec "$@"`
	cmd := p.lab.Gateway.Command(p.t.Context(), "/bin/sh", append([]string{"-c", script, "sh", p.etc}, args...)...)
	cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNS
	cmd.Env = append(os.Environ(), "PATH="+p.bin+":/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C")
	return cmd
}

// make makes a fault: by a ruleset, or by a command line.
func (p *patient) make(fault string) {
	p.t.Helper()
	if strings.HasPrefix(fault, "table ") {
		p.load(fault)
	} else {
		p.shell(fault)
	}
}

// shell runs a command line as an admin would type it.
func (p *patient) shell(line string) {
	p.t.Helper()
	if out, err := p.command("sh", "-c", line).CombinedOutput(); err != nil {
		p.t.Fatalf("%s: %v: %s", line, err, out)
	}
}

// load loads a ruleset. nft wants a line end before a brace that closes a block.
func (p *patient) load(ruleset string) {
	p.t.Helper()
	for _, end := range []string{"} }", "} }", "; }"} {
		ruleset = strings.ReplaceAll(ruleset, end, end[:1]+"\n}")
	}
	cmd := p.command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(ruleset)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("nft -f: %v: %s\n%s", err, out, ruleset)
	}
}

// examine runs the doctor and reads its report. Its exit status must fit that.
func (p *patient) examine() doctor.Report {
	p.t.Helper()
	cmd := p.command(program, "doctor", "-c", p.config, "--json")
	out, err := cmd.Output()
	if cmd.ProcessState == nil {
		p.t.Fatal(err)
	}
	var report doctor.Report
	if err := json.Unmarshal(out, &report); err != nil {
		p.t.Fatalf("doctor --json: %v: %s", err, out)
	}
	if got, bad := cmd.ProcessState.ExitCode(), report.Bad(); got != map[bool]int{false: 0, true: 1}[bad] {
		p.t.Errorf("exit status %d with findings %v", got, report.Findings)
	}
	return report
}

// found returns the one finding of a check, which must say what is wanted.
func (p *patient) found(check, severity string, seen ...string) doctor.Finding {
	p.t.Helper()
	report := p.examine()
	list := of(report, check)
	if len(list) != 1 {
		p.t.Fatalf("%d findings of %s, want one: %+v", len(list), check, report)
	}
	f := list[0]
	if string(f.Severity) != severity {
		p.t.Errorf("%s is a %s, want a %s", check, f.Severity, severity)
	}
	for _, want := range seen {
		if !strings.Contains(f.Seen, want) {
			p.t.Errorf("%s saw %q, which lacks %q", check, f.Seen, want)
		}
	}
	if f.About == "" || f.Why == "" || len(f.Mend) == 0 && f.Edit == "" {
		p.t.Errorf("%s says too little: %+v", check, f)
	}
	return f
}

func of(r doctor.Report, check string) (list []doctor.Finding) {
	for _, f := range r.Findings {
		if string(f.Check) == check {
			list = append(list, f)
		}
	}
	return list
}

// mend types the commands of a finding.
func (p *patient) mend(f doctor.Finding) {
	p.t.Helper()
	if len(f.Mend) == 0 {
		p.t.Fatalf("%s has no command that mends it: %+v", f.Check, f)
	}
	for _, line := range f.Mend {
		p.shell(line)
	}
}

// gone wants nothing of a check, which must have been made.
func (p *patient) gone(check string) {
	p.t.Helper()
	report := p.examine()
	if list := of(report, check); len(list) > 0 {
		p.t.Errorf("%s is still found: %+v", check, list)
	}
	for _, u := range report.Unexamined {
		if string(u.Check) == check {
			p.t.Errorf("%s was not examined: %s", check, u.Why)
		}
	}
}

// mended sees a finding, types its commands, and sees it gone.
func (p *patient) mended(check, severity string, seen ...string) doctor.Finding {
	p.t.Helper()
	f := p.found(check, severity, seen...)
	p.mend(f)
	p.gone(check)
	return f
}

// wantCommand compares the one command of a finding.
func wantCommand(t *testing.T, f doctor.Finding, want string) {
	t.Helper()
	if len(f.Mend) != 1 || f.Mend[0] != want {
		t.Errorf("%s is mended by\n\t%s\nwant\n\t%s", f.Check, strings.Join(f.Mend, "\n\t"), want)
	}
}

// listener is another program of the host that listens.
func (p *patient) listener(address string, port uint16) *lab.Cmd {
	p.t.Helper()
	const script = `import signal, socket, sys
s = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("listens", flush=True)
signal.pause()`
	cmd := p.tree.Command(p.t.Context(), p.lab.Gateway, nil, "python3", "-B", "-c", script, address, fmt.Sprint(port))
	said := &syncBuffer{}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	eventually(p.t, "the other program listens", func() bool { return strings.Contains(said.String(), "listens") })
	return cmd
}
