package proxy

import (
	"strings"
	"time"
	"unicode/utf8"

	"ftpgate/alg"
	"ftpgate/proxy/api"
	"ftpgate/proxy/audit"
)

// observe keeps the records of what a verdict says has happened.
func (s *session) observe(v alg.Verdict) {
	switch {
	case v.Verb != alg.None:
		s.commanded(v)
	case v.Answered != alg.None:
		s.replied(v)
	}
	if v.Refusal != alg.NoReason && !s.gateway.Audit.Off() {
		verb := v.Verb
		if verb == alg.None {
			verb = v.Answered
		}
		s.gateway.Audit.Write(audit.Refused{Time: s.lastLine, Who: s.who(), Verb: verb.String(), Reason: v.Refusal.String()})
	}
}

// auditLogin notes the reply to a command of a login.
func (s *session) auditLogin(v alg.Verdict) {
	if v.Login == 0 {
		return
	}
	ok := v.Login == alg.LoggedIn
	if ok {
		s.loggedInAs = s.tried
	}
	if s.gateway.Audit.Off() {
		return
	}
	s.gateway.Audit.Write(audit.Login{Time: s.lastLine, Who: s.who(), Tried: s.tried, OK: ok, Reply: v.Code})
}

// fileOps are the commands that change files, by the name that they have in records.
var fileOps = map[alg.Verb]string{
	alg.DELE: "DELE", alg.RNFR: "RNFR", alg.RNTO: "RNTO", alg.MKD: "MKD", alg.XMKD: "MKD", alg.RMD: "RMD", alg.XRMD: "RMD", alg.SITE: "SITE CHMOD",
}

func (s *session) auditFileOp(a awaited, code int) {
	path := a.argument
	if a.verb == alg.SITE {
		what, rest, _ := strings.Cut(path, " ")
		if !strings.EqualFold(what, "CHMOD") {
			return
		}
		path = rest
	}
	if name := fileOps[a.verb]; name != "" {
		s.gateway.Audit.Write(audit.FileOp{Time: s.lastLine, Who: s.who(), Verb: name, Path: path, Reply: code})
	}
}

// auditEnd hands the end of the session to the ledger, which writes it down
// behind its transfers.
func (s *session) auditEnd(took time.Duration) {
	if s.gateway.Audit.Off() {
		return
	}
	s.gateway.ledger.finish(&ending{session: s, at: time.Now(), last: &audit.SessionEnd{
		Time: time.Now(), Who: s.who(), Result: string(s.ended), Took: took, Transfers: s.done + s.failed, Failures: s.failed,
	}})
}

// maxShown is how much of a peer's text people get, in bytes: who tries long
// names all the time shall not fill the memory with them. The audit log has all.
const maxShown = 500

// shown is what a peer sent, for people.
func shown(s string) string {
	text := api.Text(s[:min(len(s), maxShown)])
	if len(text) <= maxShown && len(s) <= maxShown {
		return text
	}
	end := min(len(text), maxShown)
	for end > 0 && end < len(text) && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}
