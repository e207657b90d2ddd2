package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/nft"
	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"

	"github.com/google/nftables"
)

// onlyScene is a world with one scene, whose daemon runs.
func onlyScene(t *testing.T, f failing, tables string) *scene {
	t.Helper()
	w := newWorld(t)
	s := w.scene(0, f)
	w.configure(s.service() + tables)
	w.start()
	s.enter(t)
	return s
}

// A kernel that does not take a pinhole: another program has deleted the table,
// and owns one of the same name.
func TestCauseNFT(t *testing.T) {
	s := onlyScene(t, failing{
		name: "nft", cause: cause.NFT,
		says: `^The kernel did not take the pinhole`, seen: []string{`^the gateway refused: nft$`, `^the final reply was 425$`},
		lines: []string{`^client: PASV$`, `^server: 227 .* => 425 `},
	}, "[nft]\nowner = \"off\"\n")
	c := s.login()
	takeTable(t, s.lab.Gateway)
	s.say(c, "PASV", 425)
	s.explained()
	if !s.logged("level=ERROR", "a pinhole could not be opened", s.client.addr.String(), "operation not permitted") {
		t.Error("the log does not say what the kernel answered")
	}
	s.secretive()
}

// takeTable puts a table of another owner in the place of the gateway's.
func takeTable(t *testing.T, h *lab.Host) {
	t.Helper()
	conn, err := nftables.New(nftables.WithNetNSFd(h.Namespace()), nftables.AsLasting())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseLasting() })
	table := &nftables.Table{Name: nft.DefaultName, Family: nftables.TableFamilyINet}
	conn.DelTable(table)
	conn.AddTable(&nftables.Table{Name: table.Name, Family: table.Family, Flags: nftables.TableFlagOwner})
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
}

// The kernel's helper reads along where somebody else translates the control
// connection: the data connection goes where the helper says, past the pinhole.
func TestCauseForeignHelper(t *testing.T) {
	s := onlyScene(t, failing{
		name: "foreign_helper", cause: cause.ForeignHelper, server: hasty(),
		says: `^Nobody dialled {at}, and the kernel's ftp helper is at the control connection`,
		seen: []string{`^conntrack has the helper "ftp" at the control connection$`}, fate: "closed", lines: and(pasvLines, `^server: 425 `),
	}, "")
	_, port, _ := strings.Cut(s.at, ":")
	s.nft(t, s.lab.Gateway, `table ip other {
		ct helper ftp-standard {
			type "ftp" protocol tcp;
		}
		chain redirected {
			type nat hook prerouting priority dstnat;
			tcp dport 2021 redirect to :`+port+`
		}
		chain helped {
			type filter hook prerouting priority filter;
			tcp dport `+port+` ct helper set "ftp-standard"
		}
	}
`)
	s.at = "198.51.100.1:2021"
	c := s.login()
	d := s.setUp(c, "PASV")
	if dial(s.client, d) {
		t.Error("the data connection came about: the helper is not in its way")
	}
	s.say(c, "RETR /zero-1K", 150, 425)
	s.explained()
	s.secretive()
}

// A transfer that hangs now is explained now: by what would be its cause.
func TestExplainWhatHangs(t *testing.T) {
	s := onlyScene(t, failing{name: "hangs", server: &ftpd.Server{}}, "")
	c := s.login()
	d := s.setUp(c, "PASV")
	s.say(c, "RETR /zero-1K", 150)
	id := fmt.Sprintf("%d.1", s.records("session_start")[0].Session)
	if e := s.explain(id); !e.Pending || e.Cause != "" || e.Bytes != 0 || e.Verb != "RETR" {
		t.Errorf("at first: %+v", e)
	}
	var e api.Explanation
	eventually(t, "nobody has dialled for long enough", func() bool {
		e = s.explain("--client", s.client.addr.String())
		return e.Cause != ""
	})
	last := e.Pinholes[len(e.Pinholes)-1]
	if !e.Pending || e.ID != id || e.Cause != string(cause.NoSyn) || !strings.HasPrefix(e.Sentence, "Nobody dialled "+s.told.String()+" within 2") ||
		e.Advice == "" || last.Fate != "open" || last.Remaining <= 0 {
		t.Errorf("then: %+v", e)
	}
	if n := len(s.records("transfer")); n > 0 {
		t.Errorf("%d transfers are written down, and none has ended", n)
	}
	dial(s.lab.Client2, d)
	eventually(t, "the stranger is named", func() bool {
		e := s.explain(id)
		return e.Cause == string(cause.WrongPeer) && strings.HasPrefix(e.Sentence, "198.51.100.8 dialled "+s.told.String())
	})
	s.secretive()
}

// A client that fails all the time evicts no other's failure.
func TestAScannerEvictsNobody(t *testing.T) {
	s := onlyScene(t, failing{name: "scanned", cause: cause.ServerError, server: &ftpd.Server{}}, "")
	victim := s.login()
	s.setUp(victim, "PASV")
	s.say(victim, "RETR /nothing", 550)
	want := s.failed()[0]
	scanner := login(t, s.lab.Client2, s.at)
	began := time.Now()
	const tries = 2000
	for range tries {
		if _, err := scanner.Do("RETR /etc/passwd"); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all is written down", func() bool { return len(s.records("transfer")) == tries+1 })
	t.Logf("%d failures took %v", tries, time.Since(began))
	if e := s.explain("--client", s.client.addr.String()); e.ID != want.ID || len(e.Lines) == 0 {
		t.Errorf("the victim's failure: %+v", e)
	}
	out, status := s.run("failures", "--socket", s.socket, "--json")
	var kept []api.Failure
	if err := json.Unmarshal([]byte(out), &kept); err != nil || status != 0 || len(kept) != 1000 || kept[999].ID != want.ID {
		t.Errorf("%d failures are kept, status %d, %v", len(kept), status, err)
	}
}
