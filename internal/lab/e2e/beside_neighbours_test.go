package e2e

// neighbour is a firewall that a host already has. Its folder in testdata/beside
// holds the scripts start and reload and the files that they load. Those are as the
// admin has them before ftpgate comes: a line that begins with "#+ " is what the
// admin writes for ftpgate, one that ends with "#-" is what has to go.
type neighbour struct {
	name string
	// What it keeps from passing without help, at the gateway's addresses.
	control, data []string
	// The chains for accept_in; none where the mark mends nothing.
	chains  []string
	flushes bool // its reload flushes the whole ruleset,
	nats    bool // and brings back nat chains in the same transaction
	// What drops the rule in those chains when it reloads: a program, as the kernel
	// names it. "": nothing does.
	drops string
	// The beginnings of what the doctor prints, by check.
	words map[string][]string
}

var bothFamilies = []string{gateway4, gateway6}

var neighbours = []neighbour{
	{
		name: "nftables", flushes: true, control: bothFamilies, data: bothFamilies,
		chains: []string{"inet filter input", "inet filter forward"}, drops: "nft",
		words: map[string][]string{
			"control_blocked": {"nft 'insert rule inet filter input ct mark & 0x00000400 == 0x00000400 "},
			"data_blocked":    {"nft 'insert rule inet filter forward ct mark & 0x00000400 == 0x00000400 "},
		},
	},
	{
		name: "iptables", control: bothFamilies, data: bothFamilies,
		chains: []string{"ip filter INPUT", "ip filter FORWARD", "ip6 filter INPUT", "ip6 filter FORWARD"}, drops: "tables-resto",
		words: map[string][]string{
			"control_blocked": {"iptables -I INPUT -m connmark --mark 0x400/0x400 -j ACCEPT", "ip6tables -I INPUT -m connmark --mark 0x400/0x400 -j ACCEPT"},
			"data_blocked":    {"iptables -I FORWARD -m connmark --mark 0x400/0x400 -j ACCEPT", "ip6tables -I FORWARD -m connmark --mark 0x400/0x400 -j ACCEPT"},
		},
	},
	{
		// Of the built-in chains ufw flushes nothing.
		name: "ufw", control: bothFamilies, data: bothFamilies,
		chains: []string{"ip filter INPUT", "ip filter FORWARD", "ip6 filter INPUT", "ip6 filter FORWARD"},
		words: map[string][]string{
			"control_blocked": {"ufw allow proto tcp to 198.51.100.1 port 21", "ufw allow proto tcp to 2001:db8:1::1 port 21"},
			"data_blocked": {"iptables -I ufw-before-forward -m connmark --mark 0x400/0x400 -j ACCEPT",
				"ip6tables -I ufw6-before-forward -m connmark --mark 0x400/0x400 -j ACCEPT"},
		},
	},
	{
		// Data passes: firewalld accepts what is translated.
		name: "firewalld", control: bothFamilies,
		chains: []string{"inet firewalld filter_INPUT"}, drops: "nft",
		words: map[string][]string{
			"control_blocked": {"firewall-cmd --permanent --zone=public --add-port=21/tcp", "firewall-cmd --reload"},
		},
	},
	{
		name: "docker", data: []string{gateway4},
		chains: []string{"ip filter DOCKER-USER"}, drops: "tables-resto",
		words: map[string][]string{
			"data_blocked": {"iptables -I DOCKER-USER -m connmark --mark 0x400/0x400 -j ACCEPT"},
		},
	},
	{
		// Masquerade and dnat of data ports come behind ours; the control port is a matter of the admin's.
		name: "nat", flushes: true, nats: true, control: bothFamilies,
		words: map[string][]string{
			"nat_conflict": {"nft delete rule inet nat prerouting handle ", "nft delete rule inet nat prerouting handle "},
		},
	},
}
