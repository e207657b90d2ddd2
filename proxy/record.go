package proxy

import (
	"bytes"
	"time"

	"ftpgate/alg"
	"ftpgate/proxy/api"
)

// recentLines are the last lines of the session, the oldest first. The caller holds mu.
func (s *session) recentLines() []api.Line { return s.lines.snapshot() }

// hear notes the line whose verdict is carried out next. The caller holds mu.
func (s *session) hear(from speaker, line []byte) {
	s.lines.heard = heard{from, line}
	if from == fromClient {
		s.said = line
	}
}

// record keeps the line that was heard, and what became of it: judged is what
// the machine said of it, v what is carried out, which is another verdict where a
// pinhole was opened in between. The caller holds mu.
func (s *session) record(judged, v *alg.Verdict) {
	h := s.lines.heard
	s.lines.heard = heard{}
	s.spoke.Store(s.lastLine.UnixNano())
	switch h.from {
	case fromClient:
		s.recordClient(h.line, judged, v)
	case fromServer:
		s.recordServer(h.line, judged, v)
	default:
		s.recordOwn(v.ToServer, s.lastLine)
		s.recordOwn(v.ToClient, s.lastLine)
	}
	s.noteName(judged, v)
}

func (s *session) recordClient(line []byte, judged, v *alg.Verdict) {
	var text, sent [roomForText]byte
	e := entry{from: fromClient, text: s.lines.redactor.Client(text[:0], line, *judged), kept: len(v.ToServer) == 0}
	if len(e.text) == 0 {
		return // a piece of a line
	}
	if !e.kept && !sameLine(line, v.ToServer) { // the gateway's own words; but nobody knows of which line this is said one day
		e.sent = new(alg.Redactor).Client(sent[:0], v.ToServer, alg.Verdict{Verb: alg.VerbOf(v.ToServer)})
	}
	s.keep(e, s.lastLine)
	s.recordOwn(v.ToClient, s.lastLine)
}

func (s *session) recordServer(line []byte, judged, v *alg.Verdict) {
	r := &s.lines
	piece := r.inside // of a line whose beginning has been kept
	r.inside = line[len(line)-1] != '\n'
	inner := r.within && judged.Code == 0
	r.within = judged.Code == 0 && (r.within || len(line) > 3 && '1' <= line[0] && line[0] <= '6' && line[3] == '-')
	if r.left > 0 && !inner {
		r.add(s.lastLine.UnixMilli(), entry{from: fromServer, gap: r.left})
		r.left = 0
	}
	own, sent, behind := related(line, v.ToClient)
	s.recordOwn(own, s.lastLine)
	if !piece {
		s.recordReply(line, sent, inner)
	}
	r.redactor.Answered(*judged)
	s.recordOwn(behind, s.lastLine)
	s.recordOwn(v.ToServer, s.lastLine)
}

// recordPrelude keeps a line of before the session has its server.
func (s *session) recordPrelude(from speaker, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.spoke.Store(now.UnixNano())
	if from == fromGateway {
		s.recordOwn(line, now)
		return
	}
	v := alg.Verdict{Verb: alg.VerbOf(line)}
	if v.Verb == alg.None {
		v.Refusal = alg.NotACommand
	}
	s.keep(entry{from: from, text: s.lines.redactor.Client(nil, line, v), kept: true}, now)
}

// recordReply keeps a line of a reply. Of its inner lines the record has only
// how many they were.
func (s *session) recordReply(line, sent []byte, inner bool) {
	r := &s.lines
	if inner {
		r.left++
		if !s.traced() {
			return
		}
	}
	var text, other [roomForText]byte
	e := entry{from: fromServer, text: r.redactor.Server(text[:0], line), kept: len(sent) == 0}
	if !e.kept && !sameLine(line, sent) {
		e.sent = r.redactor.Server(other[:0], sent)
	}
	if inner {
		s.traceLine(e, s.lastLine)
		return
	}
	s.keep(e, s.lastLine)
}

// recordOwn keeps lines that the gateway says by itself.
func (s *session) recordOwn(lines []byte, now time.Time) {
	for len(lines) > 0 {
		var line []byte
		line, lines = firstLine(lines)
		var text [roomForText]byte
		s.keep(entry{from: fromGateway, text: alg.AppendText(text[:0], bytes.TrimRight(line, "\r\n"))}, now)
	}
}

// keep keeps an entry, and shows it to who traces the session.
func (s *session) keep(e entry, now time.Time) {
	s.lines.add(now.UnixMilli(), e)
	if s.traced() {
		s.traceLine(e, now)
	}
}

// noteName follows the name by which the session is known.
func (s *session) noteName(judged, v *alg.Verdict) {
	switch {
	case judged.Verb == alg.USER && len(v.ToServer) > 0:
		_, name, _ := bytes.Cut(bytes.TrimRight(v.ToServer, "\r\n"), []byte(" "))
		text := string(alg.AppendText(nil, name))
		s.name.Store(&text)
	case judged.Restart: // REIN
		s.name.Store(nil)
	}
}

// related finds in what goes to the client for a line of the server what that
// line has become, and what the gateway says before it and behind it.
func related(line, out []byte) (own, sent, behind []byte) {
	if len(out) == 0 || bytes.Equal(line, out) { // as nearly always
		return nil, out, nil
	}
	if i := bytes.Index(out, line); i == 0 || i > 0 && out[i-1] == '\n' {
		return out[:i], line, out[i+len(line):]
	}
	for from := 0; from < len(out); {
		next, rest := firstLine(out[from:])
		if len(next) >= 4 && bytes.HasPrefix(line, next[:4]) {
			return out[:from], next, rest
		}
		from += len(next)
	}
	sent, behind = firstLine(out)
	return nil, sent, behind
}

// firstLine splits b behind its first line end.
func firstLine(b []byte) (line, rest []byte) {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return b[:i+1], b[i+1:]
	}
	return b, nil
}

// sameLine reports whether two lines are the same but for their line ends, and
// for what lies behind them.
func sameLine(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	a, _ = firstLine(a)
	b, _ = firstLine(b)
	return bytes.Equal(bytes.TrimRight(a, "\r\n"), bytes.TrimRight(b, "\r\n"))
}
