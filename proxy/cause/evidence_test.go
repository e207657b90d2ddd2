package cause

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// The people and places of the tests.
var (
	client   = netip.MustParseAddr("198.51.100.7")
	stranger = netip.MustParseAddr("203.0.113.9")
	server   = netip.MustParseAddr("10.0.0.5")
	leased   = netip.MustParseAddrPort("198.51.100.1:61000")
	named    = netip.MustParseAddrPort("10.0.0.5:50000")
	opened   = time.Unix(1_700_000_000, 0)
)

// passive is a download whose pinhole was open for ten seconds when the server
// said 425.
func passive(change func(*Evidence)) Evidence {
	e := Evidence{
		Passive: true, Client: client, Server: server, At: leased, To: named, Opened: opened, Now: opened.Add(10 * time.Second),
		Code: 425, Text: "425 Failed to establish connection.",
	}
	change(&e)
	return e
}

// active is the same with PORT.
func active(change func(*Evidence)) Evidence {
	return passive(func(e *Evidence) {
		e.Passive, e.At, e.To = false, netip.MustParseAddrPort("10.0.0.1:30000"), netip.MustParseAddrPort("198.51.100.7:4000")
		change(e)
	})
}

// dialled is passive with a connection that came after a second.
func dialled(change func(*Evidence)) Evidence {
	return passive(func(e *Evidence) {
		e.Dialled, e.Answer, e.Bytes = opened.Add(time.Second), Accepted, 4711
		change(e)
	})
}

func seen(from netip.Addr, after time.Duration) []Stray {
	return []Stray{{From: from, At: leased, Seen: opened.Add(after)}}
}

func TestDecide(t *testing.T) {
	for name, test := range map[string]struct {
		of   Evidence
		want Cause
		says string
	}{
		"nothing is known":               {Evidence{}, "", ""},
		"the gateway's word comes first": {passive(func(e *Evidence) { e.Refusal, e.Aborted = "nft", true }), NFT, "did not take the pinhole"},

		"nobody dialled":            {passive(func(*Evidence) {}), NoSyn, "Nobody dialled 198.51.100.1:61000 within 10s: the client was told"},
		"the server did not dial":   {active(func(*Evidence) {}), NoSyn, "Nobody dialled 10.0.0.1:30000 within 10s: the server was told"},
		"nobody dials yet":          {passive(func(e *Evidence) { e.Code, e.Now = 0, opened.Add(time.Second) }), "", ""},
		"nobody dials":              {passive(func(e *Evidence) { e.Code, e.Now = 0, opened.Add(3*time.Second) }), NoSyn, "within 3s"},
		"a server gives no chance":  {passive(func(e *Evidence) { e.Now = opened.Add(time.Millisecond) }), ServerError, "425 Failed"},
		"a server that cannot dial": {active(func(e *Evidence) { e.Now = opened.Add(time.Millisecond) }), NoSyn, "the server was told"},
		"no such file":              {passive(func(e *Evidence) { e.Code, e.Text = 550, "550 No such file." }), ServerError, `said no: "550 No such file."`},

		"a stranger dialled":        {passive(func(e *Evidence) { e.Strays = seen(stranger, time.Second) }), WrongPeer, "203.0.113.9 dialled 198.51.100.1:61000, which waited for the client, 198.51.100.7"},
		"a stranger and the client": {passive(func(e *Evidence) { e.Strays = append(seen(stranger, time.Second), seen(client, 2*time.Second)...) }), Late, "The client dialled 198.51.100.1:61000 2s after"},
		"the client dialled late":   {passive(func(e *Evidence) { e.Strays = seen(client, 9*time.Second) }), Late, "9s after the pinhole was opened"},
		"a server of two addresses": {active(func(e *Evidence) { e.Strays = seen(stranger, time.Second) }), WrongPeer, "waited for the server, 10.0.0.5"},
		"somebody long before":      {passive(func(e *Evidence) { e.Strays = seen(stranger, -time.Minute) }), NoSyn, ""},
		"as the kernel rounds":      {passive(func(e *Evidence) { e.Strays = seen(stranger, -20*time.Millisecond) }), WrongPeer, ""},
		"an earlier set-up":         {passive(func(e *Evidence) { e.Replaced = seen(client, time.Second) }), Late, "which an earlier set-up had named"},
		"somebody comes, pending":   {passive(func(e *Evidence) { e.Code, e.Now, e.Strays = 0, opened.Add(time.Second), seen(stranger, time.Second) }), WrongPeer, ""},
		"a helper":                  {passive(func(e *Evidence) { e.Helper, e.Strays = "ftp", seen(client, time.Second) }), ForeignHelper, "kernel's ftp helper"},
		"a helper that did no harm": {dialled(func(e *Evidence) { e.Helper = "ftp"; e.Code = 451 }), ServerError, ""},

		"the server resets":         {dialled(func(e *Evidence) { e.Answer = Refused }), BackendRefused, "named 10.0.0.5:50000, refused the connection"},
		"the server is silent":      {dialled(func(e *Evidence) { e.Answer = Silent }), BackendRefused, "named 10.0.0.5:50000, does not answer"},
		"the client resets":         {active(func(e *Evidence) { e.Dialled, e.Answer = opened, Refused }), ClientRefused, "named 198.51.100.7:4000, refused"},
		"the client is silent":      {active(func(e *Evidence) { e.Dialled, e.Answer = opened, Silent }), ClientRefused, "does not answer"},
		"silent for a moment":       {dialled(func(e *Evidence) { e.Answer, e.Code, e.Now = Silent, 0, opened.Add(2*time.Second) }), "", ""},
		"silent for a while":        {dialled(func(e *Evidence) { e.Answer, e.Code, e.Now = Silent, 0, opened.Add(4*time.Second) }), BackendRefused, ""},
		"silent, and given up soon": {dialled(func(e *Evidence) { e.Answer, e.Aborted, e.Now = Silent, true, opened.Add(2*time.Second) }), Aborted, ""},
		"reset, and given up":       {dialled(func(e *Evidence) { e.Answer, e.Aborted = Refused, true }), BackendRefused, ""},
		"nobody knows what it met":  {dialled(func(e *Evidence) { e.Answer = Unknown }), ServerError, ""},

		"ABOR":                                 {dialled(func(e *Evidence) { e.Aborted, e.Code = true, 426 }), Aborted, "(ABOR) after 4711 bytes"},
		"ABOR before anybody dialled":          {passive(func(e *Evidence) { e.Aborted, e.Code, e.Now = true, 426, opened.Add(time.Second) }), Aborted, ""},
		"ABOR after a long wait":               {passive(func(e *Evidence) { e.Aborted, e.Code = true, 426 }), NoSyn, ""},
		"ABOR on the way, pending":             {dialled(func(e *Evidence) { e.Aborted, e.Code = true, 0 }), Aborted, ""},
		"the client went":                      {dialled(func(e *Evidence) { e.Ended, e.Code = "client_closed", 0 }), Aborted, "The client ended the session before"},
		"the client said QUIT":                 {dialled(func(e *Evidence) { e.Ended, e.Code = "quit", 0 }), Aborted, "The client ended the session before"},
		"an administrator":                     {dialled(func(e *Evidence) { e.Ended, e.Code = "killed", 0 }), Aborted, "An administrator ended"},
		"the gateway went down":                {dialled(func(e *Evidence) { e.Ended, e.Code = "drained", 0 }), Aborted, "The gateway went down"},
		"an address went":                      {dialled(func(e *Evidence) { e.Ended, e.Code = "address_gone", 0 }), Aborted, "address left this host"},
		"the control connection":               {dialled(func(e *Evidence) { e.Ended, e.Code = "connection_lost", 0 }), Aborted, "control connection was lost"},
		"a defect":                             {dialled(func(e *Evidence) { e.Ended, e.Code = "panic", 0 }), Aborted, "A defect of the gateway"},
		"the server went":                      {dialled(func(e *Evidence) { e.Ended, e.Code = "server_closed", 0 }), ServerError, "The server closed the control connection"},
		"the clock":                            {dialled(func(e *Evidence) { e.Ended, e.Code = "timeout", 0 }), ServerError, "ended by its clock"},
		"the client went, and so did its data": {dialled(func(e *Evidence) { e.Ended, e.Code = "client_closed", 426 }), Aborted, ""},

		"the relay broke":        {dialled(func(e *Evidence) { e.Broken, e.Code = "connection reset by peer", 426 }), DataBroken, "after 4711 bytes: connection reset by peer"},
		"the server says 426":    {dialled(func(e *Evidence) { e.Code, e.Text = 426, "426 Broken pipe" }), DataBroken, `after 4711 bytes: "426 Broken pipe"`},
		"the server's disk":      {dialled(func(e *Evidence) { e.Code, e.Text = 452, "452 No space left" }), ServerError, "452 No space left"},
		"it runs":                {dialled(func(e *Evidence) { e.Code = 0 }), "", ""},
		"it stands":              {dialled(func(e *Evidence) { e.Stalled, e.Ended = 5*time.Minute, "timeout" }), Stalled, "for 5m0s"},
		"it stands, unconnected": {passive(func(e *Evidence) { e.Stalled = time.Minute }), Stalled, "for 1m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			v := Decide(test.of)
			if v.Cause != test.want || !strings.Contains(v.Sentence, test.says) {
				t.Errorf("%s: %s\nwant %s: … %s …", v.Cause, v.Sentence, test.want, test.says)
			}
			if (v.Cause == "") != (v.Sentence == "") || (v.Cause == "") != (v.Advice == "") || v.Cause != "" && !slices.Contains(All, v.Cause) {
				t.Errorf("the verdict is %+v", v)
			}
			if len(v.Seen) == 0 {
				t.Error("it says nothing of what was seen")
			}
		})
	}
}

// What the gateway refuses has its cause, a sentence and an advice, and only
// set-ups that were meant to transfer have failed.
func TestDecideRefusals(t *testing.T) {
	for reason, test := range map[string]struct {
		want  Cause
		fails bool
		says  string
	}{
		"bounce":          {Bounce, true, "a data address that is not its own, 198.51.100.7"},
		"port":            {Bounce, true, "below 1024"},
		"bad_reply":       {BackendBadAddress, true, "The server 10.0.0.5 answered"},
		"ports_exhausted": {PortsExhausted, true, "No port of the service's range"},
		"too_many_setups": {PortsExhausted, true, "more data connections at once"},
		"nft":             {NFT, true, "did not take the pinhole"},
		"busy_port":       {BusyPort, true, "still has a connection"},
		"tls_not_resumed": {TLSNotResumed, true, "did not resume"},
		"data_tls":        {DataTLS, true, "handshake"},
		"no_data_port":    {NoDataPort, false, "without PASV"},
		"family":          {ServerError, false, "522 Use the other"},
		"mode":            {ServerError, false, "522 Use the other"},
	} {
		v := Decide(Evidence{Client: client, Server: server, Refusal: reason, Code: 522, Text: "522 Use the other", Now: opened})
		if v.Cause != test.want || !strings.Contains(v.Sentence, test.says) || v.Advice == "" || !slices.Contains(v.Seen, "the gateway refused: "+reason) {
			t.Errorf("%s: %+v", reason, v)
		}
		if Fails(reason) != test.fails {
			t.Errorf("%s fails: %t", reason, !test.fails)
		}
	}
}

// The evidence says what was looked at, in words and with addresses.
func TestSeen(t *testing.T) {
	for name, test := range map[string]struct {
		of   Evidence
		want []string
	}{
		"undialled": {passive(func(e *Evidence) {
			e.Strays = slices.Concat(seen(client, 9*time.Second), seen(stranger, -10*time.Millisecond))
		}), []string{
			"a pinhole for the client was open at 198.51.100.1:61000, leading to 10.0.0.5:50000, and no connection came through it",
			"a SYN of the client to 198.51.100.1:61000 was refused 9s after the pinhole was opened",
			"a SYN of 203.0.113.9 to 198.51.100.1:61000 was refused 0s after the pinhole was opened",
			"the final reply was 425",
		}},
		"refused": {dialled(func(e *Evidence) { e.Answer = Refused }), []string{
			"the client dialled 198.51.100.1:61000, 1s after the pinhole was opened; it led to 10.0.0.5:50000",
			"the server answered the SYN with a RST", "the final reply was 425",
		}},
		"silent, active": {active(func(e *Evidence) { e.Dialled, e.Answer, e.Helper = opened, Silent, "ftp" }), []string{
			"the server dialled 10.0.0.1:30000, 0s after the pinhole was opened; it led to 198.51.100.7:4000",
			"the client did not answer the SYN", `conntrack has the helper "ftp" at the control connection`, "the final reply was 425",
		}},
		"broken by ABOR": {dialled(func(e *Evidence) { e.Broken, e.Aborted, e.Code, e.Ended = "reset", true, 0, "killed" }), []string{
			"the client dialled 198.51.100.1:61000, 1s after the pinhole was opened; it led to 10.0.0.5:50000",
			"the connection was established and carried 4711 bytes", "the relay met: reset", "the client sent ABOR", "the session ended first: killed",
		}},
		"refused at once": {Evidence{Refusal: "bounce"}, []string{"the gateway refused: bounce"}},
		"it runs":         {Evidence{}, []string{"no final reply has come yet"}},
	} {
		if got := Decide(test.of).Seen; !slices.Equal(got, test.want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}
