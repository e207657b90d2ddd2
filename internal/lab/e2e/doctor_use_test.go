package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/doctor"
)

// A host that is as it should be: status 0, and no finding but a notice.
func TestDoctorOfAHealthyHost(t *testing.T) {
	p := usual(t, "", "")
	report := p.examine()
	if len(report.Unexamined) > 0 {
		t.Errorf("not examined: %+v", report.Unexamined)
	}
	for _, f := range report.Findings {
		if f.Severity != doctor.Notice || f.Check != "conntrack_accounting" {
			t.Errorf("found: %+v", f)
		}
	}
	p.start()
	report = p.examine()
	if len(report.Findings)+len(report.Unexamined) > 0 {
		t.Errorf("with a daemon: %+v", report)
	}
}

func TestDoctorUse(t *testing.T) {
	p := usual(t, "", "")
	if err := p.lab.Gateway.Sysctl("net/ipv4/ip_forward", "0"); err != nil {
		t.Fatal(err)
	}
	bad := filepath.Join(t.TempDir(), "bad.toml")
	if err := os.WriteFile(bad, []byte("[[service]]\nname = 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		status int
		want   string
	}{
		"for people":       {[]string{"doctor", "-c", p.config}, 1, "  mend  sysctl -w net.ipv4.ip_forward=1\n"},
		"a bad file":       {[]string{"doctor", "-c", bad}, 1, "service[0].name"},
		"no such file":     {[]string{"doctor", "-c", bad + "x"}, 1, "no such file"},
		"an unknown flag":  {[]string{"doctor", "--fix"}, 2, "unknown flag"},
		"an argument":      {[]string{"doctor", "me"}, 2, "unknown command"},
		"the summary says": {[]string{"doctor", "-c", p.config}, 1, "1 error, 1 notice in "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			cmd := p.command(append([]string{program}, test.args...)...)
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			if status := cmd.ProcessState.ExitCode(); status != test.status || !strings.Contains(string(out), test.want) {
				t.Errorf("status %d, want %d and %q:\n%s", status, test.status, test.want, out)
			}
		})
	}
	out, _ := p.command(program, "doctor", "-c", p.config).CombinedOutput()
	if !strings.HasPrefix(string(out), "ERROR forwarding: ") {
		t.Errorf("the worst does not come first:\n%s", out)
	}
}

// Without rights it says what it could not look at, and never that all is well.
func TestDoctorWithoutRights(t *testing.T) {
	p := usual(t, "", "")
	dir, err := os.MkdirTemp("/tmp", "ftpgate-doctor-") // t.TempDir lies below a folder of root alone
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for from, to := range map[string]string{program: "ftpgate", p.config: "ftpgate.toml"} {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, to), b, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	out, _ := p.command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
		filepath.Join(dir, "ftpgate"), "doctor", "-c", filepath.Join(dir, "ftpgate.toml")).CombinedOutput()
	for _, want := range []string{"not examined: data_blocked: no right to read nftables", "not examined: kernel_helper: ", "run as root"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(string(out), "ERROR") {
		t.Errorf("an error is made up:\n%s", out)
	}
}

// The daemon examines its host too: a metric, and a line with what mends it.
func TestDoctorWithinTheDaemon(t *testing.T) {
	p := usual(t, "", "")
	p.load("table inet filter { chain forward { type filter hook forward priority 0; policy drop; } }")
	p.start()
	for series, want := range map[string]string{
		`ftpgate_doctor_findings{check="data_blocked",severity="error"}`: "1",
		`ftpgate_doctor_findings{check="forwarding",severity="error"}`:   "0",
	} {
		eventually(t, series+" is "+want, func() bool { return p.metric(series) == want })
	}
	eventually(t, "the log says what mends it", func() bool {
		return strings.Contains(p.log.String(), `mend="nft 'insert rule inet filter forward `)
	})
}
