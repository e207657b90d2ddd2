package cause

import (
	"net/netip"
	"testing"
	"time"
)

// What a server says at once, or of a file, speaks for nothing else.
func TestDecideByWords(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	undialled := Evidence{
		Passive: true, Client: netip.MustParseAddr("192.0.2.7"), Server: netip.MustParseAddr("10.0.0.5"),
		At: netip.MustParseAddrPort("198.51.100.1:61000"), To: netip.MustParseAddrPort("10.0.0.5:30000"), Opened: now,
	}
	for _, tt := range []struct {
		name, text string
		code       int
		after      time.Duration
		dialled    bool
		private    bool
		want       Cause
	}{
		{"421 at once", "421 Going down", 421, time.Millisecond, false, false, ServerError},
		{"421 when nobody came", "421 Data timeout. Reconnect. Sorry.", 421, time.Minute, false, false, NoSyn},
		{"a file that cannot be resumed", "450 cannot be resumed: resume-session.txt", 450, time.Second, true, true, ServerError},
		{"vsftpd", "522 SSL connection failed: session reuse required", 522, time.Second, true, true, TLSNotResumed},
		{"where there is no TLS", "522 SSL connection failed: session reuse required", 522, time.Second, true, false, ServerError},
		{"FileZilla", "425 Unable to build data connection: TLS session of data connection not resumed.", 425, time.Second, true, true, TLSNotResumed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := undialled
			e.Code, e.Text, e.Now, e.Private = tt.code, tt.text, now.Add(tt.after), tt.private
			if tt.dialled {
				e.Dialled, e.Answer = now, Accepted
			}
			if v := Decide(e); v.Cause != tt.want {
				t.Errorf("%s (%s), want %s", v.Cause, v.Sentence, tt.want)
			}
		})
	}
}
