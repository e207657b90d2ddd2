package config

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAdvertiseIsAnAddressOrAName(t *testing.T) {
	long := strings.Repeat("a.", 124) + "ftp.x" // 253 letters
	for _, tt := range []struct {
		written string
		addr    netip.Addr
		name    string
	}{
		{"192.0.2.1", netip.MustParseAddr("192.0.2.1"), ""},
		{"ftp.example.com", netip.Addr{}, "ftp.example.com"},
		{"gateway", netip.Addr{}, "gateway"},
		{long, netip.Addr{}, long},
		{"", netip.Addr{}, ""},
	} {
		got := mustParse(t, smallest+"advertise = \""+tt.written+"\"\n").Settings.Services[0]
		if got.Advertise != tt.addr || got.AdvertiseName != tt.name {
			t.Errorf("%s: got %v, %q", tt.written, got.Advertise, got.AdvertiseName)
		}
	}
	for _, bad := range []string{"ftp example", "ftp..example.com", "192.0.2", "ftp.example.com:21", "-ftp.example.com", strings.Repeat("a", 64) + ".com"} {
		wantProblems(t, smallest+"advertise = \""+bad+"\"\n", Problem{"service[0].advertise", 6,
			`"` + bad + `" is neither an address nor the name of a host: write e.g. "192.0.2.1" or "ftp.example.com"`})
	}
}

// TestBadAdvertiseTo gives the list from line 6 on.
func TestBadAdvertiseTo(t *testing.T) {
	form := `write { clients = "10.0.0.0/8", address = "10.0.0.1" }`
	tests := []struct {
		list string
		want []Problem
	}{
		{`"10.0.0.1"`, []Problem{{"", 6, `"10.0.0.1" is not a list: write ["10.0.0.1"]`}}},
		{`{ clients = "10.0.0.0/8", address = "10.0.0.1" }`, []Problem{{"", 6, `a table is not a list: write it in brackets`}}},
		{`["10.0.0.1"]`, []Problem{{"[0]", 6, `"10.0.0.1" is not a table: ` + form}}},
		{"[\n{ clients = \"10.0.0.0/8\" },\n{ address = \"10.0.0.1\" }]", []Problem{{"[0].address", 7, "missing: " + form}, {"[1].clients", 8, "missing: " + form}}},
		{`[{ clients = "10.0.0.0/8", address = "10.0.0.1", "to\n" = 1 }]`, []Problem{{`[0]."to\n"`, 6, "unknown key: an element of advertise_to has clients, address"}}},
		{`[{ clients = "10.0.0.0/8", address = "ftp.example.com" }]`, []Problem{{"[0].address", 6, `"ftp.example.com" is not an address: write e.g. "10.0.0.1" or "2001:db8::1"`}}},
		{`[{ clients = "10.0.0.0/8", address = "fd00::1" }]`, []Problem{{"[0].address", 6, `"fd00::1" is IPv6: 227 can only name an IPv4 address, and 229 names none; write IPv4`}}},
		{`[{ clients = "10.0.0.0/8", address = "0.0.0.0" }]`, []Problem{{"[0].address", 6, `"0.0.0.0" means any address: write the one that these clients reach`}}},
		{`[{ clients = "fd00::/8", address = "10.0.0.1" }]`, []Problem{{"[0].clients", 6, `"fd00::/8" is IPv6: such clients are told no address, since 229 names none; leave them out`}}},
		{`[{ clients = 10, address = 10 }]`, []Problem{{"[0].address", 6, `10 is not text: write it in quotes, "10"`}, {"[0].clients", 6, `10 is not text: write it in quotes, "10"`}}},
		{"[ { clients = \"10.1.0.0/16\", address = \"10.1.0.1\" }, { clients = \"10.0.0.0/8\", address = \"10.0.0.1\" },\n{ clients = \"10.2.0.0/16\", address = \"10.2.0.1\" } ]", []Problem{
			{"[2].clients", 7, `"10.2.0.0/16" lies inside "10.0.0.0/8" of element 1, and the first that fits is taken: move it up, or leave it out`},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.list, func(t *testing.T) {
			for i := range tt.want {
				tt.want[i].Key = "service[0].advertise_to" + tt.want[i].Key
			}
			wantProblems(t, smallest+"advertise_to = "+tt.list+"\n", tt.want...)
		})
	}
	// As tables of their own it reads the same.
	got := mustParse(t, smallest+"[[service.advertise_to]]\nclients = \"10.0.0.7\"\naddress = \"10.0.0.1\"\n").Settings.Services[0].AdvertiseTo
	if len(got) != 1 || got[0].Clients != netip.MustParsePrefix("10.0.0.7/32") || got[0].Address != netip.MustParseAddr("10.0.0.1") {
		t.Errorf("got %v", got)
	}
}
