package alg

import (
	"net/netip"
	"testing"
)

// Each kind of line that is rewritten is counted as what it became, under the
// command that the client sent.
func TestRewrites(t *testing.T) {
	v4, v6 := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")
	tests := []struct {
		client, server netip.Addr
		events         []string
		verb           Verb
		want           Rewrite
	}{
		{v4, v4, []string{"C PASV", "S 227 (10,0,0,5,195,80)"}, None, RewritePASV},
		{v4, v4, []string{"C EPSV", "S 229 (|||50000|)"}, None, RewriteEPSV},
		{v4, v4, []string{"C PORT 198,51,100,7,8,1"}, None, RewritePORT},
		{v4, v4, []string{"C EPRT |1|198.51.100.7|2049|"}, None, RewriteEPRT},
		{v4, v4, []string{"C FEAT", "S 211-f", "S  AUTH TLS"}, None, RewriteFEAT},
		{v4, v4, []string{"C FEAT", "S 211 none"}, None, RewriteFEAT},
		{v4, v4, []string{"C FEAT", "S 500 what?"}, None, RewriteFEAT},
		{v4, v4, []string{"C FEAT", "S 211-f", "S  EPSV", "S  EPRT", "S 211 end"}, None, 0},
		{v4, v4, []string{"C HELP", "S 214-h", "S LPRT"}, None, RewriteHELP},
		{v4, v4, []string{"C HELP", "S 214-h", "S 214 end"}, None, RewriteHELP},
		{v4, v4, []string{"C HELP", "S 214 LPRT"}, None, RewriteHELP},
		{v4, v4, []string{"C HELP", "S 214 PASV"}, None, 0},
		{v4, v4, []string{"C EPSV", "S 500 what?"}, None, RewriteToPASV},
		{v4, v4, []string{"C PASV", "S 500 what?"}, None, RewriteToEPSV},
		{v4, v4, []string{"C EPRT |1|198.51.100.7|2049|", "S 500 what?"}, None, RewritePORT},
		{v6, v4, []string{"C EPSV"}, EPSV, RewriteToPASV},
		{v6, v4, []string{"C EPSV", "S 227 (10,0,0,5,195,80)"}, None, RewriteEPSV},
		{v6, v4, []string{"C EPRT |2|2001:db8::7|2049|"}, None, RewritePORT},
		{v4, v6, []string{"C PASV"}, PASV, RewriteToEPSV},
		{v4, v6, []string{"C EPSV"}, EPSV, 0},
		{v4, v6, []string{"C PASV", "S 229 (|||50000|)"}, None, RewritePASV},
		{v4, v6, []string{"C PORT 198,51,100,7,8,1"}, None, RewriteEPRT},
	}
	seen := map[Rewrite]bool{}
	for _, test := range tests {
		p := newPlayer(Config{Client: test.client, Server: test.server, Passive: true, Active: true})
		p.play(t, "login")
		var last Verdict
		p.check = func(v Verdict) { last = v }
		for _, event := range test.events {
			p.play(t, event)
		}
		if last.Rewrite != test.want || last.Verb != test.verb {
			t.Errorf("%v of %s to %s: %s became %q, want %s and %q", test.events, test.client, test.server, last.Verb, last.Rewrite, test.verb, test.want)
		}
		seen[test.want] = true
	}
	for _, kind := range Rewrites() {
		if !seen[kind] {
			t.Errorf("no line is rewritten as %s", kind)
		}
	}
}
