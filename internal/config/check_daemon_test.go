package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestBadWebAndAudit puts lines before the smallest file; what is wrong stands
// in the last of them.
func TestBadWebAndAudit(t *testing.T) {
	tests := []struct{ lines, key, text string }{
		{`metrics.web_config = "web.yml"`, "metrics.web_config", `"web.yml" is not an absolute path: write e.g. "/etc/ftpgate/web.yml"`},
		{"metrics.listen = \"\"\nmetrics.web_config = \"/w.yml\"", "metrics.web_config", `does nothing without metrics.listen: leave it out, or write an address to listen on`},
		{`admin.web_config = "/w.yml"`, "admin.web_config", `does nothing without admin.listen: leave it out, or write an address to listen on`},
		{`admin.listen = "localhost:8080"`, "admin.listen", `"localhost:8080" is a host name: write its address`},
		{`admin.listen = "0.0.0.0:8080"`, "admin.listen", `"0.0.0.0:8080" is not on loopback, and everybody who reaches it would see who transfers what: write admin.web_config, a file with a password and a certificate, or an address of loopback`},
		{"admin.web_config = \"\"\nadmin.listen = \"[2001:db8::1]:8080\"", "admin.listen", `"[2001:db8::1]:8080" is not on loopback, and everybody who reaches it would see who transfers what: write admin.web_config, a file with a password and a certificate, or an address of loopback`},
		{`admin.listen = "127.0.0.1:9421"`, "admin.listen", `"127.0.0.1:9421" is taken by metrics.listen, "127.0.0.1:9421": write an address and port of its own`},
		{"metrics.listen = \"0.0.0.0:9422\"\nadmin.listen = \"127.0.0.1:9422\"", "admin.listen", `"127.0.0.1:9422" is taken by metrics.listen, "0.0.0.0:9422": write an address and port of its own`},
		{"admin.web_config = \"/w.yml\"\nadmin.listen = \"198.51.100.1:21\"", "admin.listen", `"198.51.100.1:21" is taken by service[0].listen[0], "198.51.100.1:21": write an address and port of its own`},
		{`audit.json = "a.json"`, "audit.json", `"a.json" is not an absolute path: write e.g. "/var/log/ftpgate/audit.json"`},
		{`audit.xferlog = "/var/log/"`, "audit.xferlog", `"/var/log/" is a folder: write the path of a file, e.g. "/var/log/xferlog"`},
		{"audit.json = \"/var/log/a\"\naudit.xferlog = \"/var/log//./a\"", "audit.xferlog", `"/var/log//./a" is audit.json too: write a file of its own`},
		{`audit.on_error = "stop"`, "audit.on_error", `"stop" is not one of the values: write "continue" or "refuse"`},
		{`audit.on_error = "refuse"`, "audit.on_error", `"refuse" does nothing without audit.json and audit.xferlog: write one of them, or leave it out`},
		{`audit.jsn = "/a"`, "audit.jsn", `unknown key: did you mean json?`},
	}
	for _, tt := range tests {
		t.Run(tt.lines, func(t *testing.T) {
			_, got := Parse([]byte(tt.lines + "\n" + smallest))
			line := 1 + strings.Count(tt.lines, "\n")
			if diff := cmp.Diff([]Problem{{Key: tt.key, Line: line, Text: tt.text}}, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestGoodWebAndAudit(t *testing.T) {
	for _, lines := range []string{
		`admin.listen = "127.0.0.1:8080"`,
		`admin.listen = "[::1]:9421"`, // another family than metrics.listen
		"admin.listen = \"0.0.0.0:8080\"\nadmin.web_config = \"/w.yml\"\nmetrics.web_config = \"/w.yml\"",
		"audit.xferlog = \"/var/log/xferlog\"\naudit.on_error = \"refuse\"",
		"metrics.listen = \"\"\nmetrics.web_config = \"\"\naudit.json = \"\"\naudit.on_error = \"continue\"",
	} {
		t.Run(lines, func(t *testing.T) { mustParse(t, lines+"\n"+smallest) })
	}
}
