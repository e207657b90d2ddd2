package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Faults of the kernel's parameters: each is made, seen, mended by the command
// that is printed, and gone.
func TestDoctorKernelParameters(t *testing.T) {
	tests := map[string]struct {
		keys, fault, check, severity, seen, mend string
	}{
		"forwarding of IPv4": {
			fault: "sysctl -w net.ipv4.ip_forward=0", check: "forwarding", severity: "error",
			seen: "IPv4", mend: "sysctl -w net.ipv4.ip_forward=1"},
		"forwarding of IPv6": {
			fault: "sysctl -w net.ipv6.conf.all.forwarding=0", check: "forwarding", severity: "error",
			seen: "IPv6", mend: "sysctl -w net.ipv6.conf.all.forwarding=1"},
		"forwarding of one interface": {
			fault: "sysctl -w net.ipv4.conf.wan.forwarding=0", check: "forwarding", severity: "error",
			seen: "net.ipv4.conf.wan.forwarding = 0", mend: "sysctl -w net.ipv4.conf.wan.forwarding=1"},
		"accounting": {
			fault: "sysctl -w net.netfilter.nf_conntrack_acct=0", check: "conntrack_accounting", severity: "notice",
			seen: "nf_conntrack_acct = 0", mend: "sysctl -w net.netfilter.nf_conntrack_acct=1"},
		"a short memory": {
			keys:  `timeouts.idle = "30m"`,
			fault: "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=600", check: "conntrack_timeout", severity: "warning",
			seen: "10m0s; timeouts.idle is 30m0s", mend: "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_established=1801"},
		"ports that the kernel gives away": {
			fault: "sysctl -w net.ipv4.ip_local_port_range='32768 62000'", check: "port_range", severity: "warning",
			seen: "ports 61000-62000", mend: "sysctl -w net.ipv4.ip_local_reserved_ports=61000-62000"},
		"others are reserved": {
			fault: "sysctl -w net.ipv4.ip_local_port_range='32768 65535' && sysctl -w net.ipv4.ip_local_reserved_ports=8080,61000-61010", check: "port_range", severity: "warning",
			seen: "ports 61000-64999", mend: "sysctl -w net.ipv4.ip_local_reserved_ports=8080,61000-61010,61000-64999"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := usual(t, test.keys, "")
			p.shell(test.fault)
			f := p.mended(test.check, test.severity, test.seen)
			wantCommand(t, f, test.mend)
			if f.Keep == "" {
				t.Error("it does not say what keeps that after a restart")
			}
		})
	}
}

// Where the kernel carries nothing it need not forward.
func TestDoctorForwardingIsNotNeeded(t *testing.T) {
	for name, keys := range map[string]string{"relayed": `data = "relay"`, "IPv4 alone": ""} {
		t.Run(name, func(t *testing.T) {
			config := fmt.Sprintf(services, keys)
			off := "sysctl -w net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"
			if keys == "" {
				config = "[[service]]\nname = \"files\"\nlisten = [\"198.51.100.1:21\"]\nbackends = [\"10.0.0.5:21\"]\ntls.mode = \"refuse\"\n"
				off = "sysctl -w net.ipv6.conf.all.forwarding=0"
			}
			p := healthy(t, config)
			p.shell(off)
			p.gone("forwarding")
		})
	}
}

// The configuration that Debian ships flushes everybody's rules. What is printed
// takes that away, and the file still loads as it did, twice.
func TestDoctorFlushRuleset(t *testing.T) {
	const file = `#!/usr/sbin/nft -f

flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter; policy accept;
	}
}
table ip nat {
	chain post {
		type nat hook postrouting priority srcnat;
	}
}
`
	for name, test := range map[string]struct{ tables, severity string }{
		"an owned table": {"", "notice"}, "a plain table": {"[nft]\nowner = \"off\"\n", "warning"},
	} {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", test.tables)
			if err := os.WriteFile(filepath.Join(p.etc, "nftables.conf"), []byte(file), 0o644); err != nil {
				t.Fatal(err)
			}
			p.shell("nft 'add table inet other'")
			p.mended("flush_ruleset", test.severity, "/etc/nftables.conf")
			for range 2 {
				p.shell("nft -f - </etc/nftables.conf")
			}
			out, err := p.command("nft", "list", "ruleset").CombinedOutput()
			if err != nil || strings.Count(string(out), "chain input") != 1 || !strings.Contains(string(out), "table inet other") {
				t.Errorf("after loading the file twice: %v\n%s", err, out)
			}
		})
	}
}

// Another daemon has the table: it is named, and ends by what is printed.
func TestDoctorTableOwner(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		p := usual(t, "", table)
		other := prepareGateway(t, p.lab, strings.ReplaceAll(fmt.Sprintf(services, ""), ":21\"", ":2121\"")+table)
		other.start()
		f := p.found("table_owner", "error", "ftpgate (pid ")
		wantCommand(t, f, fmt.Sprintf("kill %d", other.cmd.Process.Pid))
		p.mend(f)
		if err := other.cmd.Wait(); err != nil { // it says goodbye first
			t.Errorf("the other daemon's end: %v", err)
		}
		p.gone("table_owner")
		p.start()
	})
}

// Somebody flushes a plain table: the running daemon counts it, and an owned one
// is not touched.
func TestDoctorTableFlushed(t *testing.T) {
	p := usual(t, "", "[nft]\nowner = \"off\"\n")
	p.start()
	p.shell("nft flush ruleset")
	eventually(t, "the table is put back", func() bool { return p.metric("ftpgate_nft_reinstalls_total") == "1" })
	p.found("table_flushed", "warning", "1 times")
	p.kill()
	p.configure(fmt.Sprintf(services, "") + "[nft]\nowner = \"auto\"\n") // as it says
	p.start()
	p.shell("nft flush ruleset")
	p.gone("table_flushed")
}

// The table is gone while the daemon, which would put it back, cannot.
func TestDoctorTableGone(t *testing.T) {
	p := usual(t, "", "[nft]\nowner = \"off\"\n")
	p.start()
	p.signal(syscall.SIGSTOP)
	p.shell("nft delete table inet ftpgate")
	p.found("table_flushed", "error", "is gone")
	p.signal(syscall.SIGCONT)
	eventually(t, "the table is put back", func() bool { return p.metric("ftpgate_nft_reinstalls_total") == "1" })
	p.found("table_flushed", "warning", "1 times")
}

// A running daemon has too few files: its own limit is what counts, not ours. It
// is restarted with the one that is asked for, as its unit would.
func TestDoctorDescriptors(t *testing.T) {
	p := usual(t, "", "[limits]\nsessions = 500\n")
	startWith := func(files string) {
		p.cmd = p.lab.Gateway.Command(t.Context(), "prlimit", "--nofile="+files, program, "run", "-c", p.config)
		p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
		if err := p.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the daemon is ready", func() bool { status, _ := p.get("/readyz"); return status == 200 })
	}
	startWith("1000")
	f := p.found("descriptors", "warning", "may have 1000", "need 1064", fmt.Sprintf("(pid %d)", p.cmd.Process.Pid))
	if !strings.Contains(f.Edit, "LimitNOFILE=1064") {
		t.Errorf("mended by: %s", f.Edit)
	}
	p.kill()
	startWith("1064")
	p.gone("descriptors")
}

// Without a daemon it is what one could have that is started from here.
func TestDoctorDescriptorsOfNobody(t *testing.T) {
	p := usual(t, "", "[limits]\nsessions = 5000\n")
	cmd := p.command("prlimit", "--nofile=1024", program, "doctor", "-c", p.config)
	out, _ := cmd.CombinedOutput()
	for _, want := range []string{"WARNING descriptors: 5000 sessions may need 10064 open files", "may have 1024", "LimitNOFILE=10064"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("the report lacks %q:\n%s", want, out)
		}
	}
	cmd = p.command("prlimit", "--nofile=10064", program, "doctor", "-c", p.config) // as a unit with that line
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("with the limit that is asked for: %v\n%s", err, out)
	}
}

// Rules of iptables-legacy cannot be read: that is said.
func TestDoctorLegacyRules(t *testing.T) {
	p := usual(t, "", "")
	p.shell("iptables-legacy -P FORWARD DROP")
	report := p.examine()
	for _, u := range report.Unexamined {
		if u.Check == "legacy_rules" && strings.Contains(u.Why, "iptables-legacy -t filter -S") {
			return
		}
	}
	t.Errorf("not said: %+v", report)
}
