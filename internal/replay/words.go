package replay

import (
	"bytes"
	"fmt"

	"ftpgate/alg"
)

// withSession says of a pinhole that it closes with its session.
const withSession = "session"

// carryOut does what a verdict says, as far as nothing leaves this process: it
// opens and closes pinholes, and counts. It returns the verdict with the line to write.
func (p *player) carryOut(l *Line, v alg.Verdict) alg.Verdict {
	for v.Open.ID != 0 {
		p.remark(l, v)
		v = p.open(l, v.Open)
	}
	for _, c := range v.Close {
		if p.pinholes.remove(c.ID) {
			why := closeWords[c.Why]
			l.Closes = append(l.Closes, Closing{ID: uint32(c.ID), Why: why.name})
			if c.Why == alg.Done && v.Transfer.Phase == alg.TransferFailed {
				why.words = "its transfer has failed"
			} else if c.Why == alg.Done && v.Transfer.Phase == 0 {
				why.words = "its set-up has failed"
			}
			l.Did = append(l.Did, fmt.Sprintf("closes pinhole %d: %s", c.ID, why.words))
		}
	}
	p.remark(l, v)
	return v
}

// open opens the pinhole that a verdict asks for, or refuses it.
func (p *player) open(l *Line, o alg.Open) alg.Verdict {
	hole, announced, why := p.pinholes.add(o)
	if why != alg.NoReason {
		return p.m.Refused(why)
	}
	p.sum.Pinholes++
	l.Opens = hole
	kind := "active"
	switch {
	case o.Mode == alg.ModeAUTH:
		kind = fmt.Sprintf("for TLS that passes, %s at once", number(hole.Flows, "connection"))
	case o.Mode.Passive():
		kind = "passive"
	}
	if hole.Relayed {
		kind += ", carried by the gateway itself"
	}
	l.Did = append(l.Did, fmt.Sprintf("opens pinhole %d: %s -> %s -> %s, %s", hole.ID, hole.From, hole.At, hole.To, kind))
	return p.m.Opened(announced)
}

var closeWords = map[alg.CloseReason]struct{ name, words string }{
	alg.Done:     {"done", "its transfer is done"},
	alg.Replaced: {"replaced", "the next set-up has succeeded"},
	alg.Aborted:  {"aborted", "the transfer is aborted"},
}

// remark notes what happened with a line besides its way.
func (p *player) remark(l *Line, v alg.Verdict) {
	if v.Refusal != alg.NoReason {
		l.Refusal = v.Refusal.String()
		p.sum.Refusals[l.Refusal]++
		l.Did = append(l.Did, "refused ("+l.Refusal+")"+p.hint(v.Refusal))
	}
	if v.Foreign {
		text := "the address that it names is not the server's, " + p.at.server.String() + ": ignored"
		if p.at.assumed[server] {
			text += " (--server says which it is)"
		}
		l.Did = append(l.Did, text)
	}
	if v.TLSLost {
		l.Did = append(l.Did, "the server offers TLS, which clients do not get here")
	}
	switch v.Login {
	case alg.LoggedIn:
		l.Login = "ok"
		l.Did = append(l.Did, "the client is logged in")
	case alg.LoginFailed:
		l.Login = "failed"
		l.Did = append(l.Did, "the login has failed")
	}
	p.transfer(l, v.Transfer)
	p.secure(l, v.Secure)
}

// hint says what an admin may have to tell us.
func (p *player) hint(why alg.Reason) string {
	if why == alg.Bounce && p.at.assumed[client] {
		return ": the client is taken to be " + p.at.client.String() + " (--client says who it is)"
	}
	return ""
}

func (p *player) transfer(l *Line, t alg.Transfer) {
	what := map[alg.Direction]string{alg.Download: "download", alg.Upload: "upload", alg.Listing: "listing"}[t.Direction]
	through := ""
	if t.Pinhole != 0 {
		through = fmt.Sprintf(", through pinhole %d", t.Pinhole)
	}
	switch t.Phase {
	case alg.TransferBegan:
		p.running++
		l.Transfer = "began"
	case alg.TransferStarted:
		l.Transfer = "started"
		l.Did = append(l.Did, "the "+what+" has started"+through)
	case alg.TransferDone:
		p.running = max(0, p.running-1)
		p.sum.Done++
		l.Transfer = "done"
		l.Did = append(l.Did, "the "+what+" is done"+through)
	case alg.TransferFailed:
		p.running = max(0, p.running-1)
		p.sum.Failed++
		l.Transfer = "failed"
		l.Did = append(l.Did, "the "+what+" has failed"+through)
	}
}

func (p *player) secure(l *Line, s alg.Secure) {
	switch s {
	case alg.StartTLS:
		l.Did = append(l.Did, "TLS between client and gateway begins behind it")
	case alg.EndTLS:
		l.Did = append(l.Did, "TLS between client and gateway ends behind it")
	case alg.GoThrough:
		l.Did = append(l.Did, "TLS between client and server begins behind it, of which the gateway sees nothing")
		p.over = true
	}
}

// endWords says why the gateway ends a session.
func endWords(why alg.Reason) string {
	words := map[alg.Reason]string{
		alg.NotFTP:          "this is another protocol",
		alg.BadGreeting:     "the server does not greet as an FTP server",
		alg.GreetingRefused: "the server's greeting is a refusal",
		alg.TooManyErrors:   "the gateway's patience is used up",
		alg.Injection:       "more came in clear behind the line, where TLS begins or ends",
	}[why]
	if words == "" {
		return why.String()
	}
	return words + " (" + why.String() + ")"
}

// clientFate tells where a line of the client went.
func (p *player) clientFate(l *Line, was []byte, v alg.Verdict) {
	l.ToClient = shown(v.ToClient)
	switch body := cut(v.ToServer); {
	case len(v.ToServer) == 0 && len(v.ToClient) == 0 && v.Refusal == alg.NoReason && v.End == alg.NoReason:
		l.Fate = held
		l.Did = append(l.Did, "held back: the line goes on")
	case len(v.ToServer) == 0:
		l.Fate = answered
	case bytes.Equal(v.ToServer, was):
		l.Fate = passed
		l.Did = append(l.Did, "passed on")
	case bytes.Equal(body, cut(was)):
		l.Fate = passed
		l.Did = append(l.Did, "passed on, with CRLF at its end")
	case v.Rewrite != 0:
		l.Fate, l.ToServer = rewritten, shown(v.ToServer)
		l.Did = append(l.Did, "rewritten to: "+l.ToServer[0])
	case string(body) == "NOOP" && len(v.ToClient) == 0:
		l.Fate, l.ToServer = answered, []string{"NOOP"}
		l.Did = append(l.Did, "answered by the gateway; the server gets a NOOP, to keep in step")
	default:
		l.Fate = passed
		l.Did = append(l.Did, "passed on, without the Telnet commands in it")
	}
	for _, line := range l.ToClient {
		l.Did = append(l.Did, "the gateway answers: "+line)
	}
	if l.Fate == answered && len(l.ToClient) == 0 && len(l.ToServer) == 0 {
		l.Did = append(l.Did, "the gateway answers when the replies before have come")
	}
}

// serverFate tells where a line of the server went, and what went with it.
func (p *player) serverFate(l *Line, was []byte, v alg.Verdict) {
	l.Fate = ""
	says := "the gateway says: "
	if bytes.Contains(v.ToClient, was) {
		says = "the gateway adds: "
	}
	for line := range bytes.Lines(v.ToClient) {
		text := string(p.redactor.Server(nil, line))
		switch {
		case l.Fate == "" && bytes.Equal(line, was):
			l.Fate = passed
			l.Did = append(l.Did, "passed on")
			continue
		case l.Fate == "" && v.Rewrite != 0 && codeOf(line) == codeOf(was):
			l.Fate = rewritten
			l.Did = append(l.Did, "rewritten to: "+text)
		default:
			l.Did = append(l.Did, says+text)
		}
		l.ToClient = append(l.ToClient, text)
	}
	if len(v.ToServer) > 0 {
		l.ToServer = shown(v.ToServer)
		l.Fate = answered
		l.Did = append(l.Did, "kept from the client: the server is asked again, by "+l.ToServer[0])
	}
	switch {
	case l.Fate != "":
	case len(v.ToClient) > 0:
		l.Fate = answered
	case p.reply.last && bytes.HasSuffix(was, []byte("\n")), v.Rewrite != 0:
		l.Fate = swallowed
		l.Did = append(l.Did, "swallowed: the client does not get it")
	default:
		l.Fate = held
		l.Did = append(l.Did, "held back until the reply is whole")
	}
}

// shown returns the lines of what the gateway writes, as text to be shown.
func shown(b []byte) []string {
	var lines []string
	for line := range bytes.Lines(b) {
		lines = append(lines, string(alg.AppendText(nil, cut(line))))
	}
	return lines
}

// cut returns a line without its line end.
func cut(line []byte) []byte {
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
}

// number is a count in words: "1 line", "2 lines".
func number(n int, what string) string { return fmt.Sprintf("%d %s", n, what+plural(n, "", "s")) }

func plural(n int, one, more string) string {
	if n == 1 {
		return one
	}
	return more
}
