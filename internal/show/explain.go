package show

import (
	"fmt"
	"strings"
	"time"

	"ftpgate/proxy/api"
)

// Explain answers the phone call: what happened, what to do about it, and what
// that is known from.
func Explain(s Screen, e api.Explanation) error {
	p := s.page()
	p.Width = 0 // nothing of it may be missing
	who := or(e.User, "somebody who had not logged in")
	what := or(command(e.Failure), "a transfer")
	if e.Pending {
		p.line(e.ID, ": ", what, " of ", who, " runs")
		p.line("If it failed now, the cause would be ", or(e.Cause, "unknown"), ".")
	} else {
		p.line(e.ID, ": ", what, " of ", who, " failed ", p.ago(e.Time), ": ", or(e.Cause, "unknown"))
	}
	p.line()
	p.prose(s.Width, "", e.Sentence)
	if e.Advice != "" {
		p.prose(s.Width, "", "What to do: "+e.Advice)
	}
	p.facts(e)
	if len(e.Evidence) > 0 {
		p.line()
		p.line("Seen:")
		for _, v := range e.Evidence {
			p.prose(s.Width, "  ", v)
		}
	}
	p.fates(e)
	p.dialogue(e)
	return p.flush()
}

func (p *page) facts(e api.Explanation) {
	fact := func(name, text string) {
		if text != "" {
			p.line(fmt.Sprintf("  %-9s  ", name), text)
		}
	}
	p.line()
	fact("when", p.at(e.Time))
	fact("client", e.Client)
	fact("service", e.Service)
	fact("backend", e.Backend)
	fact("transfer", or(strings.Trim(e.Direction+", "+e.Mode, ", "), "only its set-up")+", "+Size(e.Bytes))
	fact("reply", e.Reply)
}

// fates shows the session's pinholes, times counted from the end.
func (p *page) fates(e api.Explanation) {
	if len(e.Pinholes) == 0 {
		return
	}
	p.line()
	p.line("Pinholes of the session, in seconds ", before(e), ":")
	t := &table{head: []string{"  FATE", "MODE", ">OPENED", ">ENDED", "FROM", "AT", "LEADS TO"}}
	for _, f := range e.Pinholes {
		ended := "not yet"
		if !f.Ended.IsZero() {
			ended = p.offset(f.Ended, e)
		}
		t.add("  "+f.Fate, f.Mode, p.offset(f.Opened, e), ended, f.From, f.At, leads(f.Pinhole))
	}
	t.write(p)
}

// dialogue shows the session's last lines; one that was rewritten with what
// became of it.
func (p *page) dialogue(e api.Explanation) {
	if len(e.Lines) == 0 {
		return
	}
	p.line()
	p.line("The session's last lines, in seconds ", before(e), " (C> client, S> server, G> gateway):")
	at, width := make([]string, len(e.Lines)), 0
	for i, l := range e.Lines {
		at[i] = p.offset(l.Time, e)
		width = max(width, len(at[i]))
	}
	for i, l := range e.Lines {
		p.line(fmt.Sprintf("  %*s  ", width, at[i]), said(l))
	}
}

// before says what times are counted from.
func before(e api.Explanation) string {
	if e.Pending {
		return "from now"
	}
	return "from the failure"
}

// offset is a time of the session, counted as before says.
func (p *page) offset(t time.Time, e api.Explanation) string {
	from := e.Time
	if e.Pending {
		from = p.Now
	}
	return fmt.Sprintf("%+.3f", t.Sub(from).Seconds())
}

// said is a line of the dialogue: who said it, and what the other side got.
func said(l api.Line) string {
	who := map[string]string{"client": "C> ", "server": "S> ", "gateway": "G> "}[l.From]
	if who == "" {
		who = l.From + "> "
	}
	if l.Sent != "" && l.Sent != l.Text {
		return who + l.Text + "  →  " + l.Sent
	}
	return who + l.Text
}
