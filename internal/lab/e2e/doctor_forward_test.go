package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// outward is a service for clients inside, who are the lab's server.
const outward = `
[[service]]
name = "out"
mode = "forward"
listen = ["0.0.0.0:2121"]
intercept.from = ["10.0.0.0/24"]
`

// The checks know of forward mode: its connections come from inside, and go anywhere.
func TestDoctorOfForwardMode(t *testing.T) {
	tests := map[string]struct{ fault, check, severity, seen string }{
		"forwarding": {"sysctl -w net.ipv4.ip_forward=0", "forwarding", "error", "IPv4"},
		"the input chain": {
			"table inet filter { chain input { type filter hook input priority 0; policy drop; ct state established accept; tcp dport 22 accept; } }",
			"control_blocked", "error", "control connections to 0.0.0.0:2121"},
		"the forward chain lets nobody in": {
			`table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; iifname "lan" accept; } }`,
			"data_blocked", "error", "active data to clients in 10.0.0.0/24"},
		"the forward chain lets nobody out": {
			"table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; ct status dnat accept; tcp dport 21 accept; } }",
			"data_blocked", "warning", "passive data of clients in 10.0.0.0/24"},
		"another redirect": {
			"table inet proxy { chain pre { type nat hook prerouting priority -150; ip saddr 10.0.0.0/8 tcp dport 21 redirect to :8021; } }",
			"nat_conflict", "error", "sends elsewhere connections of clients in 10.0.0.0/24 to port 21"},
		"the kernel's helper": {
			`table inet helper { ct helper ftp-standard { type "ftp" protocol tcp; }; chain pre { type filter hook prerouting priority 0; tcp dport 21 ct helper set "ftp-standard"; } }`,
			"kernel_helper", "error", "connections of clients in 10.0.0.0/24 to port 21"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := healthy(t, outward)
			p.shell("ip route add default via 198.51.100.7")
			p.gone(test.check)
			p.make(test.fault)
			p.mended(test.check, test.severity, test.seen)
			p.gone("backend_route")
		})
	}
}

// Behind us another's redirect does not come to its turn.
func TestDoctorForwardLeavesOtherNATAlone(t *testing.T) {
	p := healthy(t, outward)
	p.load("table ip nat { chain pre { type nat hook prerouting priority dstnat; tcp dport 21 redirect to :8021; } }")
	p.gone("nat_conflict")
}

// A chain of accept_in is the daemon's to mend, and one that is not there is said.
func TestDoctorAcceptIn(t *testing.T) {
	p := usual(t, "", "[nft]\naccept_in = [\"inet filter forward\"]\n")
	p.found("accept_in", "warning", "inet filter forward")
	p.load("table inet filter { chain forward { type filter hook forward priority 0; policy drop; ct state established accept; }; chain input { type filter hook input priority 0; policy accept; } }")
	p.gone("accept_in")
	p.gone("data_blocked")
	p.start()
	p.gone("data_blocked")
	p.transfer()
}

// The name in advertise: what resolves it mends it.
func TestDoctorAdvertiseName(t *testing.T) {
	p := healthy(t, fmt.Sprintf(oneFamily, "198.51.100.1:21", `advertise = "ftp.example.com"`))
	startFTPD(t, p.lab)
	f := p.found("advertise", "warning", "ftp.example.com")
	if !strings.Contains(f.Edit, "/etc/resolv.conf") {
		t.Errorf("what to do: %s", f.Edit)
	}
	if err := os.WriteFile(filepath.Join(p.etc, "hosts"), []byte("198.51.100.1 ftp.example.com\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.gone("advertise")
}
