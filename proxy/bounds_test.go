package proxy

import (
	"slices"
	"strings"
	"testing"

	"ftpgate/nft/conntrack"
	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"
)

// A server may say 150 for ever; the record has the first ones and the last reply.
func TestRepliesOfATransferAreBounded(t *testing.T) {
	d := newGateway(t).loggedIn()
	d.passive()
	d.carries(conntrack.TimeWait, 0, 5000)
	d.command("RETR a")
	d.reply(slices.Repeat([]string{"150 wait"}, 10*maxReplies)...)
	d.reply("226 done")
	got := d.transfers(1)[0].Replies
	if len(got) != maxReplies || got[0] != 150 || got[maxReplies-2] != 150 || got[maxReplies-1] != 226 {
		t.Errorf("%d replies are kept: %v", len(got), got)
	}
	d.leave()
}

// Long names and long replies are cut for people; the audit record has the path.
func TestWhatFailuresShowIsBounded(t *testing.T) {
	d := newGateway(t).loggedIn()
	path := strings.Repeat("\xff\xe2\x82\xac", 900)
	d.passive()
	d.command("RETR " + path)
	d.reply("550 no such file: " + path)
	if got := d.transfers(1)[0].Path; got != path {
		t.Errorf("the record has %d bytes of the path, want %d", len(got), len(path))
	}
	got := d.Failures(api.Filter{})[0]
	for name, text := range map[string]string{"path": got.Path, "reply": got.Reply} {
		if n := len(text); n > maxShown+len("…") || n < maxShown-4 || !strings.HasSuffix(text, "…") || strings.ToValidUTF8(text, "") != text {
			t.Errorf("%s has %d bytes: %q", name, n, text)
		}
	}
	if n := len(got.Sentence); n > 3*maxShown {
		t.Errorf("the sentence has %d bytes", n)
	}
	if short := shown("a\x01é"); short != `a\x01é` {
		t.Errorf("short text is shown as %q", short)
	}
	d.leave()
}

// What is still transferred when timeouts.drain is over, the gateway has broken off.
func TestCauseOfADrainThatIsOver(t *testing.T) {
	d := newGateway(t, func(_ *Settings, s *Service) { s.Timeouts.Drain = short }).loggedIn()
	d.passive()
	d.carries(conntrack.Established, 0, 5000)
	d.command("RETR a")
	d.reply("150 here it comes")
	done := make(chan struct{})
	go func() { defer close(done); d.Drain() }()
	d.client.want(wordOfDrain)
	d.client.wantEnd()
	d.client.Close()
	<-done
	if got := d.transfers(1)[0]; got.Cause != string(cause.Aborted) || !strings.HasPrefix(got.Detail, "The gateway went down") {
		t.Errorf("%s: %s", got.Cause, got.Detail)
	}
}
