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

// Who dials from an address that was allowed is late, and no stranger.
func TestDecideByStrays(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	client := netip.MustParseAddr("192.0.2.7")
	for _, tt := range []struct {
		name, peers, from string
		want              Cause
	}{
		{"the client", "", "192.0.2.7", Late},
		{"a neighbour", "", "192.0.2.9", WrongPeer},
		{"a neighbour whose prefix may dial", "192.0.2.0/24", "192.0.2.9", Late},
		{"somebody outside the prefix", "192.0.2.0/24", "192.0.3.9", WrongPeer},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := Evidence{
				Passive: true, Client: client, At: netip.MustParseAddrPort("198.51.100.1:61000"), Opened: now,
				Code: 425, Now: now.Add(time.Minute), Strays: []Stray{{From: netip.MustParseAddr(tt.from), At: netip.MustParseAddrPort("198.51.100.1:61000"), Seen: now.Add(time.Second)}},
			}
			if tt.peers != "" {
				e.Peers = netip.MustParsePrefix(tt.peers)
			}
			if v := Decide(e); v.Cause != tt.want {
				t.Errorf("%s (%s), want %s", v.Cause, v.Sentence, tt.want)
			}
		})
	}
}

// Nobody can dial what an administrator has closed.
func TestDecideAfterCloseAll(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	e := Evidence{
		Passive: true, Client: netip.MustParseAddr("192.0.2.7"), At: netip.MustParseAddrPort("198.51.100.1:61000"), Opened: now,
		Code: 425, Now: now.Add(time.Minute), Revoked: true,
	}
	if v := Decide(e); v.Cause != Aborted {
		t.Errorf("%s (%s), want %s", v.Cause, v.Sentence, Aborted)
	}
	if e.Code = 550; Decide(e).Cause != ServerError {
		t.Error("a server that has no such file is not heard")
	}
}
