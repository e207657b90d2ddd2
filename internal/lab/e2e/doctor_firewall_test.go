package e2e

import (
	"fmt"
	"strings"
	"testing"
)

const nftAccept = `counter accept comment "ftpgate"`

// Chains that drop, in the words of nft. What is mended lets transfers pass: the
// doctor's word is not all that counts.
func TestDoctorDropInNft(t *testing.T) {
	tests := map[string]struct{ ruleset, check, severity, mend string }{
		"forward, by policy": {
			"table inet filter { chain forward { type filter hook forward priority filter; policy drop; ct state established,related accept; } }",
			"data_blocked", "error", "inet filter forward"},
		"forward, by a last reject": {
			"table inet filter { chain forward { type filter hook forward priority filter; ct state vmap { established : accept, related : accept, invalid : drop }; reject with icmpx admin-prohibited; } }",
			"data_blocked", "error", "inet filter forward"},
		"forward, in a chain that is jumped to": {
			"table inet filter { chain rest { counter drop; }; chain forward { type filter hook forward priority 10; ct state established accept; jump rest; } }",
			"data_blocked", "error", "inet filter forward"},
		"forward, of IPv6 alone": {
			"table ip6 filter { chain forward { type filter hook forward priority filter; policy drop; ct state established accept; } }",
			"data_blocked", "error", "ip6 filter forward"},
		"forward, what comes from outside alone": {
			`table inet filter { chain forward { type filter hook forward priority filter; policy drop; ct state established accept; iifname "lan" oifname "wan" accept; } }`,
			"data_blocked", "error", "inet filter forward"},
		"input, by policy": {
			`table inet filter { chain input { type filter hook input priority filter; policy drop; ct state established,related accept; iifname { "lan", "lo" } accept; meta l4proto ipv6-icmp accept; tcp dport { 22, 80-443 } accept; } }`,
			"control_blocked", "error", "inet filter input"},
		"input, for those who are not welcome": {
			`table inet filter { set welcome { type ipv4_addr; flags interval; elements = { 198.51.100.0/28 } }
				chain input { type filter hook input priority filter; policy drop; ct state established accept; iifname { "lan", "lo" } accept; meta l4proto ipv6-icmp accept; ip saddr @welcome tcp dport 21 accept; ip6 saddr 2001:db8:1::/64 tcp dport 21 accept; } }`,
			"control_blocked", "warning", "inet filter input"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			p.load(test.ruleset)
			f := p.mended(test.check, test.severity, test.mend)
			wantCommand(t, f, fmt.Sprintf("nft 'insert rule %s ct mark & 0x00000400 == 0x00000400 %s'", test.mend, nftAccept))
			p.transfers()
		})
	}
}

// transfers makes one of each kind with a daemon that it starts.
func (p *patient) transfers() {
	p.t.Helper()
	p.start()
	p.transfer()
}

// transfer makes one of each kind.
func (p *patient) transfer() {
	p.t.Helper()
	for at, modes := range map[string][]string{gateway4: {"PASV", "PORT"}, gateway6: {"EPSV", "EPRT"}} {
		for _, mode := range modes {
			c := login(p.t, p.lab.Client, at)
			if _, err := c.Download(setUp(p.t, c, mode), "RETR /zero-1K"); err != nil {
				p.t.Errorf("%s at %s: %v", mode, at, err)
			}
		}
	}
}

// What the doctor does not complain of: chains that let our traffic pass in
// other ways than by our rule.
func TestDoctorAcceptsOtherWays(t *testing.T) {
	for name, ruleset := range map[string]string{
		"translated flows, as firewalld": `table inet other { chain forward { type filter hook forward priority 10; policy accept; ct state { established, related } accept; ct status dnat accept; reject with icmpx admin-prohibited; } }`,
		"interfaces":                     `table inet other { chain forward { type filter hook forward priority 0; policy drop; iifname . oifname { "wan" . "lan", "lan" . "wan" } accept; } }`,
		"all but a blocklist":            `table inet other { set bad { type ipv4_addr; flags interval; elements = { 203.0.113.0/24 } }; chain input { type filter hook input priority 0; ip saddr @bad drop; tcp flags & (fin|syn) == (fin|syn) drop; ct state invalid drop; } }`,
		"a verdict map":                  `table inet other { chain ftp { accept; }; chain input { type filter hook input priority 0; policy drop; ct state established accept; iifname { "lan", "lo" } accept; meta l4proto ipv6-icmp accept; tcp dport vmap { 20-30 : jump ftp, 80 : drop } } }`,
		"the other family":               `table arp other { chain input { type filter hook input priority 0; policy accept; } }; table ip other { chain forward { type filter hook forward priority 0; policy drop; ip protocol tcp accept; } }`,
		"output":                         `table inet other { chain output { type filter hook output priority 0; policy accept; tcp dport 25 drop; } }`,
	} {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			p.load(ruleset)
			p.gone("data_blocked")
			p.gone("control_blocked")
			p.transfers()
		})
	}
}

// The rule of another mark is not ours.
func TestDoctorWantsTheConfiguredMark(t *testing.T) {
	p := usual(t, "", "[nft]\nmark = \"0x00010000\"\n")
	p.load(`table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct mark & 0x400 == 0x400 accept; ct state established accept; } }`)
	f := p.mended("data_blocked", "error")
	if !strings.Contains(f.Mend[0], "0x00010000") {
		t.Errorf("mended by %s", f.Mend)
	}
	p.transfers()
}

// iptables-nft, with a policy, a last rule, and what Docker and ufw make of it.
func TestDoctorDropInIptables(t *testing.T) {
	const established = "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"
	tests := map[string]struct {
		rules []string
		check string
		mend  string
	}{
		"forward, by policy": {
			[]string{"iptables -P FORWARD DROP", "iptables -A FORWARD " + established},
			"data_blocked", "iptables -I FORWARD -m connmark --mark 0x400/0x400 -j ACCEPT"},
		"forward, by a last reject": {
			[]string{"iptables -A FORWARD " + established, "iptables -A FORWARD -j REJECT"},
			"data_blocked", "iptables -I FORWARD -m connmark --mark 0x400/0x400 -j ACCEPT"},
		"forward of IPv6": {
			[]string{"ip6tables -P FORWARD DROP", "ip6tables -A FORWARD " + established},
			"data_blocked", "ip6tables -I FORWARD -m connmark --mark 0x400/0x400 -j ACCEPT"},
		"input": {
			[]string{"iptables -A INPUT " + established, "iptables -A INPUT -i lan -j ACCEPT", "iptables -A INPUT -i lo -j ACCEPT",
				"iptables -A INPUT -p tcp -m multiport --dports 22,80:443 -j ACCEPT", "iptables -P INPUT DROP"},
			"control_blocked", "iptables -I INPUT -m connmark --mark 0x400/0x400 -j ACCEPT"},
		"Docker": {
			[]string{"iptables -P FORWARD DROP", "iptables -N DOCKER-USER", "iptables -A DOCKER-USER -j RETURN", "iptables -A FORWARD -j DOCKER-USER",
				"iptables -A FORWARD -o docker0 " + established, "iptables -A FORWARD -i docker0 ! -o docker0 -j ACCEPT",
				"iptables -I FORWARD 2 " + established},
			"data_blocked", "iptables -I DOCKER-USER -m connmark --mark 0x400/0x400 -j ACCEPT"},
		"ufw": {
			[]string{"iptables -P FORWARD DROP", "iptables -N ufw-before-forward", "iptables -A FORWARD -j ufw-before-forward",
				"iptables -A ufw-before-forward " + established, "iptables -N ufw-reject-forward", "iptables -A FORWARD -j ufw-reject-forward"},
			"data_blocked", "iptables -I ufw-before-forward -m connmark --mark 0x400/0x400 -j ACCEPT"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := usual(t, "", "")
			for _, r := range test.rules {
				p.shell(r)
			}
			f := p.mended(test.check, "error")
			wantCommand(t, f, test.mend)
			p.shell("iptables -S && ip6tables -S")
			p.transfers()
		})
	}
}

// Without the program of iptables nobody could type its words.
func TestDoctorWithoutIptables(t *testing.T) {
	p := usual(t, "", "")
	p.shell("iptables -P FORWARD DROP")
	p.shell("iptables -A FORWARD -m state --state ESTABLISHED -j ACCEPT")
	p.shell("rm " + p.bin + "/iptables")
	f := p.mended("data_blocked", "error")
	wantCommand(t, f, fmt.Sprintf("nft 'insert rule ip filter FORWARD ct mark & 0x00000400 == 0x00000400 %s'", nftAccept))
}

// In firewalld a service is reached through a zone. firewall-cmd is not there to
// be run: its words are compared, and what it would do is done by nft.
func TestDoctorWordsOfFirewalld(t *testing.T) {
	p := usual(t, "", "")
	p.load(firewalld)
	f := p.found("control_blocked", "error", "inet firewalld filter_INPUT")
	if want := "firewall-cmd --permanent --zone=public --add-port=21/tcp; firewall-cmd --reload"; strings.Join(f.Mend, "; ") != want {
		t.Errorf("mended by %q, want %q", f.Mend, want)
	}
	p.shell("nft add rule inet firewalld filter_IN_public_allow tcp dport 21 accept")
	p.gone("control_blocked")
	p.gone("data_blocked")
	p.transfers()
}

// firewalld is the frame of the ruleset that firewalld 1.3 makes, with one zone.
const firewalld = `table inet firewalld {
	chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		jump filter_INPUT_ZONES
		ct state invalid drop
		reject with icmpx admin-prohibited
	}
	chain filter_FORWARD { type filter hook forward priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES {
		iifname "lan" goto filter_IN_trusted
		goto filter_IN_public
	}
	chain filter_IN_trusted { accept; }
	chain filter_IN_public {
		jump filter_IN_public_deny
		jump filter_IN_public_allow
		meta l4proto { icmp, ipv6-icmp } accept
		reject with icmpx admin-prohibited
	}
	chain filter_IN_public_deny { }
	chain filter_IN_public_allow { tcp dport 22 accept; }
}`

// In ufw too; its words are compared.
func TestDoctorWordsOfUfw(t *testing.T) {
	p := usual(t, "", "")
	for _, r := range []string{
		"-P INPUT DROP", "-N ufw-before-input", "-N ufw-user-input", "-A INPUT -j ufw-before-input", "-A INPUT -j ufw-user-input",
		"-A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "-A ufw-before-input -i lan -j ACCEPT", "-A ufw-before-input -i lo -j ACCEPT",
		"-A ufw-user-input -p tcp --dport 22 -j ACCEPT",
	} {
		p.shell("iptables " + r)
	}
	f := p.found("control_blocked", "error", "ip filter INPUT")
	wantCommand(t, f, "ufw allow proto tcp to 198.51.100.1 port 21")
	p.shell("iptables -A ufw-user-input -p tcp -d 198.51.100.1 --dport 21 -j ACCEPT") // as ufw does
	p.gone("control_blocked")
	p.transfers()
}

// Relayed data comes in, in place of passing through.
func TestDoctorDropOfRelayedData(t *testing.T) {
	p := usual(t, "data = \"relay\"", "")
	p.load(`table inet filter { chain input { type filter hook input priority filter; policy drop; ct state established accept; tcp dport 21 accept; iifname "lo" accept; meta l4proto ipv6-icmp accept; }
		chain forward { type filter hook forward priority filter; policy drop; } }`)
	p.mended("data_blocked", "error", "inet filter input", "relayed data")
	p.transfers()
}
