package e2e

import (
	"fmt"
	"strings"
	"testing"

	"ftpgate/internal/lab/ftpc"
)

// Rules that send away what is ours.
func TestDoctorNATConflict(t *testing.T) {
	tests := map[string]struct {
		fault, severity, mend string
	}{
		"dnat of the control port": {
			fault:    `table ip nat { chain prerouting { type nat hook prerouting priority dstnat; tcp dport 21 dnat to 10.0.0.9; } }`,
			severity: "error", mend: "nft delete rule ip nat prerouting handle "},
		"redirect in a set of ports": {
			fault:    `table inet mine { chain pre { type nat hook prerouting priority -150; iifname "wan" tcp dport { 20-25, 8080 } redirect to :99; } }`,
			severity: "error", mend: "nft delete rule inet mine pre handle "},
		"dnat of passive ports, before us": {
			fault:    `table ip nat { chain prerouting { type nat hook prerouting priority -110; ip daddr 198.51.100.1 tcp dport 62000-62010 dnat to 10.0.0.9; } }`,
			severity: "warning", mend: "nft delete rule ip nat prerouting handle "},
		"iptables": {
			fault:    "iptables -t nat -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 8080; iptables -t nat -A PREROUTING -p tcp --dport 21 -m comment --comment \"the old way\" -j DNAT --to-destination 10.0.0.9:21",
			severity: "error", mend: `iptables -t nat -D PREROUTING -p tcp -m tcp --dport 21 -m comment --comment "the old way" -j DNAT --to-destination 10.0.0.9:21`},
		"a port that Docker publishes": {
			fault: "iptables -t nat -N DOCKER; iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER; iptables -t nat -A DOCKER -i docker0 -j RETURN; " +
				"iptables -t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 21 -j DNAT --to-destination 10.0.0.9:21",
			severity: "error", mend: "iptables -t nat -D DOCKER ! -i docker0 -p tcp -m tcp --dport 21 -j DNAT --to-destination 10.0.0.9:21"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			p.make(test.fault)
			if f := p.mended("nat_conflict", test.severity); !strings.HasPrefix(f.Mend[0], test.mend) {
				t.Errorf("mended by %q, want %q", f.Mend, test.mend)
			}
			p.transfers()
		})
	}
}

// Such a rule does what the doctor says: the client does not reach ftpgate.
func TestDoctorNATConflictIsOne(t *testing.T) {
	p := usual(t, "", "")
	p.load(`table ip nat { chain prerouting { type nat hook prerouting priority dstnat; tcp dport 21 dnat to 10.0.0.9; } }`)
	p.start()
	if c, err := ftpc.Dial(impatient{p.lab.Client}, gateway4); err == nil {
		c.Close()
		t.Error("the client reaches ftpgate all the same")
	}
	p.mended("nat_conflict", "error")
	login(t, p.lab.Client, gateway4)
}

// NAT that is nobody's business: others' ports, passive ports behind us, source.
func TestDoctorLeavesOtherNATAlone(t *testing.T) {
	p := usual(t, "", "")
	p.load(`table ip nat {
		chain prerouting { type nat hook prerouting priority dstnat; tcp dport { 80, 443 } dnat to 10.0.0.9; ip daddr 198.51.100.1 tcp dport 61000-64999 dnat to 10.0.0.9; ip daddr 203.0.113.1 dnat to 10.0.0.9; }
		chain postrouting { type nat hook postrouting priority srcnat; oifname "lan" masquerade; }
	}`)
	p.gone("nat_conflict")
	p.transfers()
}

// The kernel's helper, by nft and by iptables.
func TestDoctorKernelHelper(t *testing.T) {
	tests := map[string]struct {
		fault, severity, mend string
	}{
		"a rule of nft": {
			fault:    `table inet helper { ct helper ftp-standard { type "ftp" protocol tcp; }; chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp-standard"; } }`,
			severity: "error", mend: "nft delete rule inet helper pre handle "},
		"a map of nft": {
			fault:    `table inet helper { ct helper ftp-standard { type "ftp" protocol tcp; }; chain pre { type filter hook prerouting priority 0; ct helper set tcp dport map { 21 : "ftp-standard" }; } }`,
			severity: "error", mend: "nft delete rule inet helper pre handle "},
		"on the way to the backend": {
			fault:    `table inet helper { ct helper ftp-standard { type "ftp" protocol tcp; }; chain out { type filter hook output priority 0; ip daddr 10.0.0.0/24 tcp dport 21 ct helper set "ftp-standard"; } }`,
			severity: "warning", mend: "nft delete rule inet helper out handle "},
		"iptables": {
			fault:    "iptables -t raw -A PREROUTING -p tcp --dport 21 -j CT --helper ftp",
			severity: "error", mend: "iptables -t raw -D PREROUTING -p tcp -m tcp --dport 21 -j CT --helper ftp"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			p.make(test.fault)
			if f := p.mended("kernel_helper", test.severity); !strings.HasPrefix(f.Mend[0], test.mend) {
				t.Errorf("mended by %q, want %q", f.Mend, test.mend)
			}
			p.transfers()
		})
	}
}

// On another port, or for another protocol, the helper is not in the way.
func TestDoctorOtherHelpers(t *testing.T) {
	p := usual(t, "", "")
	p.load(`table inet helper { ct helper ftp-standard { type "ftp" protocol tcp; }; ct helper tftp-standard { type "tftp" protocol udp; }
		chain pre { type filter hook prerouting priority 0; tcp dport 2100 ct helper set "ftp-standard"; udp dport 69 ct helper set "tftp-standard"; } }`)
	p.gone("kernel_helper")
}

func TestDoctorUntracked(t *testing.T) {
	for name, types := range map[string]string{
		"nft":      `table inet raw { chain pre { type filter hook prerouting priority raw; ip daddr 198.51.100.1 tcp dport 21 notrack; } }`,
		"iptables": "iptables -t raw -A PREROUTING -d 198.51.100.1 -p tcp -j CT --notrack",
	} {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			p.make(types)
			p.mended("untracked", "error")
			p.transfers()
		})
	}
}

// Others who use our bit. The doctor names one that is free: writing it mends.
func TestDoctorMarkTaken(t *testing.T) {
	tests := map[string]struct{ types, severity string }{
		"set by nft":        {`table inet qos { chain pre { type filter hook prerouting priority mangle; tcp dport 80 ct mark set ct mark | 0x400; } }`, "warning"},
		"restored whole":    {`table inet qos { chain pre { type filter hook prerouting priority mangle; tcp dport 80 ct mark set 0x00000001; } }`, "warning"},
		"saved by iptables": {"iptables -t mangle -A PREROUTING -j CONNMARK --save-mark --nfmask 0xff00 --ctmask 0xff00", "warning"},
		"set by iptables":   {"iptables -t mangle -A PREROUTING -p tcp --dport 80 -j CONNMARK --set-xmark 0x400/0x400", "warning"},
		"told by nft":       {`table inet qos { chain pre { type filter hook prerouting priority mangle; ct mark & 0xff00 == 0x400 meta mark set 0x7; } }`, "notice"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			p.make(test.types)
			f := p.found("mark_taken", test.severity, "0x00000400")
			if name == "restored whole" { // it takes every bit
				if !strings.HasPrefix(f.Edit, "no bit is free: have that rule change its own bits alone, e.g. ct mark set ct mark & 0x00000400 | ") {
					t.Errorf("the doctor says: %s", f.Edit)
				}
				p.shell("nft flush chain inet qos pre && nft add rule inet qos pre tcp dport 80 ct mark set ct mark '&' 0x00000400 '|' 0x1")
			} else {
				var free string
				if _, err := fmt.Sscanf(f.Edit, `write mark = %q`, &free); err != nil {
					t.Fatalf("%q: %v", f.Edit, err)
				}
				p.configure(fmt.Sprintf(services, "") + fmt.Sprintf("[nft]\nmark = %q\n", free))
			}
			p.gone("mark_taken")
		})
	}
}

// Others who use other bits, and who accept ours.
func TestDoctorMarkIsFree(t *testing.T) {
	p := usual(t, "", "")
	p.load(`table inet qos { chain pre { type filter hook prerouting priority mangle; tcp dport 80 ct mark set ct mark & 0xfffffcff | 0x100; ct mark & 0xff == 0x1 meta mark set 0x400; meta mark set 0x400; } 
		chain in { type filter hook input priority 0; policy drop; ct mark & 0x400 == 0x400 accept; ct state established accept; iifname "lan" accept; meta l4proto ipv6-icmp accept; } }`)
	p.shell("iptables -t mangle -A PREROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff")
	p.shell("iptables -A FORWARD -m connmark --mark 0x400/0x400 -j ACCEPT")
	p.gone("mark_taken")
}
