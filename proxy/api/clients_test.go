package api

import "testing"

func TestClients(t *testing.T) {
	for text, want := range map[string]string{
		"198.51.100.7": "198.51.100.7/32", "::ffff:198.51.100.7": "198.51.100.7/32", "2001:db8::7": "2001:db8::7/128",
		"198.51.100.7/24": "198.51.100.0/24", "::ffff:198.51.100.7/120": "198.51.100.0/24", "2001:db8::7/64": "2001:db8::/64", "::/0": "::/0",
	} {
		if p, err := Clients(text); err != nil || p.String() != want {
			t.Errorf("%s is %v, %v, want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "x", "fe80::1%eth0", "198.51.100.7/33", "198.51.100.7:21", "fe80::/64%eth0"} {
		if p, err := Clients(text); err == nil {
			t.Errorf("%q is %v", text, p)
		}
	}
}
