package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"ftpgate/proxy/api"
	"ftpgate/proxy/cause"
)

// written is what is used of an audit record.
type written struct {
	Event, Service, ID, Outcome, Cause, Detail, Mode, Verb string
	Session                                                uint64
	Bytes                                                  *uint64
}

// records are those of the scene's service, of one kind.
func (s *scene) records(event string) (list []written) {
	s.t.Helper()
	text, err := os.ReadFile(s.audit)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		var r written
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		if err := json.Unmarshal(line, &r); err != nil {
			s.t.Fatalf("audit: %v: %s", err, line)
		}
		if r.Event == event && r.Service == s.name {
			list = append(list, r)
		}
	}
	return list
}

// failed waits for the records of the transfers that failed.
func (s *scene) failed() (list []written) {
	s.t.Helper()
	eventually(s.t, "the failure is written down", func() bool {
		list = slices.DeleteFunc(s.records("transfer"), func(r written) bool { return r.Outcome != "failed" })
		return len(list) >= max(1, s.times)
	})
	return list
}

// explained checks all that is said of the scene's failure, wherever it is said.
func (s *scene) explained() {
	s.t.Helper()
	records := s.failed()
	for _, r := range records {
		if r.Cause != string(s.cause) {
			s.t.Errorf("audit: %s of transfer %s is %s, want %s: %s", r.Verb, r.ID, r.Cause, s.cause, r.Detail)
			continue
		}
		eventually(s.t, "the log has the cause of transfer "+r.ID, func() bool {
			return s.logged("transfer="+r.ID+" ", "cause="+string(s.cause)) // it comes through a pipe
		})
	}
	s.counted(len(records))
	last := records[len(records)-1]
	e := s.explain(last.ID)
	if latest := s.explain("--client", s.client.addr.String(), "--last"); latest.ID != last.ID || latest.Cause != e.Cause {
		s.t.Errorf("the latest failure of the client is %s, %s, want %s, %s", latest.ID, latest.Cause, last.ID, e.Cause)
	}
	if e.Pending || e.Cause != string(s.cause) || e.Sentence != last.Detail || e.Service != s.name {
		s.t.Errorf("explain: %+v", e.Failure)
	}
	s.words(e)
	if s.t.Failed() {
		out, _ := s.run("explain", "--socket", s.socket, last.ID)
		s.t.Logf("what an admin reads:\n%s", out)
	}
}

// words checks the words of an explanation.
func (s *scene) words(e api.Explanation) {
	s.t.Helper()
	at, to := "", ""
	if n := len(e.Pinholes); n > 0 {
		last := e.Pinholes[n-1]
		at, to = last.At, last.To
		if s.told.IsValid() && at != s.told.String() {
			s.t.Errorf("the pinhole is at %s, and the client was told %v", at, s.told)
		}
		if last.Fate != s.fate || last.Fate != "open" && last.Ended.IsZero() {
			s.t.Errorf("the pinhole's fate: %+v, want %s", last, s.fate)
		}
	} else if s.fate != "" {
		s.t.Errorf("no pinhole is shown, want one that is %s", s.fate)
	}
	fill := strings.NewReplacer("{at}", regexp.QuoteMeta(at), "{to}", regexp.QuoteMeta(to),
		"{client}", regexp.QuoteMeta(s.client.addr.String()), "{server}", regexp.QuoteMeta(s.server.String()))
	if !regexp.MustCompile(fill.Replace(s.says)).MatchString(e.Sentence) {
		s.t.Errorf("the sentence is %q, want %q", e.Sentence, fill.Replace(s.says))
	}
	if !strings.Contains(e.Advice, advised[s.cause]) {
		s.t.Errorf("the advice is %q, want %q in it", e.Advice, advised[s.cause])
	}
	for _, want := range s.seen {
		if !slices.ContainsFunc(e.Evidence, regexp.MustCompile(fill.Replace(want)).MatchString) {
			s.t.Errorf("the evidence has no %q", fill.Replace(want))
		}
	}
	lines := slices.Clone(e.Lines)
	for _, want := range s.lines {
		i := slices.IndexFunc(lines, func(l api.Line) bool { return regexp.MustCompile(want).MatchString(spoken(l)) })
		if i < 0 {
			s.t.Errorf("the dialogue has no %q where it should", want)
			break
		}
		lines = lines[i+1:]
	}
}

// spoken is a line as the patterns here have it.
func spoken(l api.Line) string {
	if l.Sent != "" {
		return l.From + ": " + l.Text + " => " + l.Sent
	}
	return l.From + ": " + l.Text
}

// advised is what the advice for each cause speaks of.
var advised = map[cause.Cause]string{
	cause.NoSyn: "(advertise)", cause.WrongPeer: "data_peer", cause.Late: "timeouts.pinhole", cause.BackendRefused: "its passive ports must be open",
	cause.BackendBadAddress: "pasv_address", cause.ClientRefused: "The client's own firewall", cause.Bounce: "active_address",
	cause.TLSNotResumed: "tls.require_resumption", cause.DataTLS: "PROT P", cause.PortsExhausted: "Widen ports", cause.BusyPort: "another one for each transfer",
	cause.NFT: "nft list table inet ftpgate", cause.ForeignHelper: "ftpgate doctor", cause.NoDataPort: "The client's last set-up failed",
	cause.Aborted: "if the user meant it", cause.DataBroken: "whoever reset the connection", cause.ServerError: "The reply says",
	cause.Stalled: "timeouts.stalled",
}

func TestEachCauseIsAdvised(t *testing.T) {
	for _, c := range cause.All {
		if advised[c] == "" {
			t.Errorf("no test looks at the advice for %s", c)
		}
	}
}

// explain asks the daemon why a transfer failed.
func (s *scene) explain(args ...string) (e api.Explanation) {
	s.t.Helper()
	out, status := s.run(append([]string{"explain", "--socket", s.socket, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &e); err != nil || status != 0 {
		s.t.Fatalf("explain %v: status %d, %v: %s", args, status, err, out)
	}
	if strings.Contains(out, secret) {
		s.t.Errorf("explain shows the password:\n%s", out)
	}
	return e
}

// counted checks the metric: all failures have the cause.
func (s *scene) counted(want int) {
	s.t.Helper()
	_, body := s.get("/metrics")
	got := map[string]string{}
	series := regexp.MustCompile(`(?m)^ftpgate_transfer_failures_total\{cause="(\w+)",service="` + regexp.QuoteMeta(s.name) + `"\} (\S+)$`)
	for _, m := range series.FindAllStringSubmatch(body, -1) {
		got[m[1]] = m[2]
	}
	all := map[string]string{}
	for _, c := range cause.All {
		all[string(c)] = "0"
	}
	all[string(s.cause)] = fmt.Sprint(want)
	if !maps.Equal(got, all) {
		maps.DeleteFunc(got, func(_, v string) bool { return v == "0" })
		s.t.Errorf("%s counts %v, want %d %s", s.name, got, want, s.cause)
	}
}

// logged reports whether a line of the log has all of some texts.
func (w *world) logged(texts ...string) bool {
	for line := range strings.Lines(w.log.String()) {
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(line, text) }) {
			return true
		}
	}
	return false
}

// secretive checks that the password is nowhere.
func (w *world) secretive() {
	w.t.Helper()
	if strings.Contains(w.log.String(), secret) {
		w.t.Error("the password is in the log")
	}
	for _, name := range []string{w.audit, w.xferlog} {
		if text, err := os.ReadFile(name); err != nil || bytes.Contains(text, []byte(secret)) {
			w.t.Errorf("%s: %v, or it has the password", name, err)
		}
	}
}
