package replay

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"

	"ftpgate/alg"
)

// player plays one dialogue to a machine, as a session would.
type player struct {
	options  Options
	number   int
	dialogue *dialogue
	sum      *Summary
	emit     func(Event)

	at       place
	m        *alg.Machine
	redactor alg.Redactor
	pinholes pinholes

	lines   [2]alg.Lines
	torn    [2]bool // bytes are missing: nothing is a line before the next line end
	waiting []waiting
	sent    []sent
	reply   reply
	running int // transfers

	over     bool // the gateway reads nothing any more
	unplayed int  // lines since then
}

// waiting is a line of the client that cannot be judged yet.
type waiting struct {
	at   int
	line []byte
}

func newPlayer(o Options, number int, d *dialogue, sum *Summary, emit func(Event)) *player {
	at := newPlace(o, d)
	return &player{
		options: o, number: number, dialogue: d, sum: sum, emit: emit, at: at,
		m:        alg.New(o.Service.Machine(at.client, at.server, o.Own)),
		lines:    [2]alg.Lines{alg.NewLines(alg.MaxCommand), alg.NewLines(alg.MaxReply)},
		pinholes: pinholes{service: o.Service, at: at, open: map[alg.ID]*Pinhole{}, leased: map[netip.AddrPort]bool{}},
	}
}

// play plays the dialogue from its first line to its last.
func (p *player) play() {
	p.sum.Sessions++
	p.announce()
	if d := p.dialogue; !p.greets() {
		p.note(0, "the recording does not begin with the server's greeting: "+p.prime(d.parts))
	}
	for i, part := range p.dialogue.parts {
		switch {
		case part.missing > 0:
			p.gap(part, p.dialogue.parts[i+1:])
		case part.note != "":
			p.emit(Event{Note: &Note{Session: p.number, At: part.at, Text: part.note, Unread: part.unread}})
		default:
			p.feed(part.at, part.from, part.bytes)
		}
	}
	p.finish()
}

// announce tells of the session that is about to be played.
func (p *player) announce() {
	d := p.dialogue
	s := &Session{
		Number: p.number, Client: p.at.client.String(), Gateway: p.at.gateway, Inside: p.at.inside, Server: p.at.server.String(),
		Service: p.options.Service.Name, Recorded: "text",
	}
	if d.captured {
		s.Recorded = "capture"
		if year := d.began.Year(); year >= 1970 && year <= 9999 { // a file may say anything, RFC 3339 may not
			s.Began = &d.began
		}
		if d.client.Addr() == p.at.client {
			s.Client = d.client.String()
		}
		if d.server.Addr() == p.at.server {
			s.Server = d.server.String()
		}
	}
	p.emit(Event{Session: s})
	switch {
	case p.at.atGateway:
		p.note(0, "this was recorded between the client and a gateway: what the server is recorded to say may have been rewritten already")
	case p.at.fromGateway:
		p.note(0, "this was recorded between a gateway and the server: what the client is recorded to say may have been rewritten already")
	}
}

func (p *player) note(at int, text string) {
	p.emit(Event{Note: &Note{Session: p.number, At: at, Text: text}})
}

// feed takes the next bytes of a side.
func (p *player) feed(at int, from side, data []byte) {
	if p.torn[from] && !p.over {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return
		}
		p.torn[from], data = false, data[i+1:]
		p.note(at, "what the "+from.String()+" says up to here may be a part of a line: it is left out")
	}
	lines := &p.lines[from]
	for len(data) > 0 {
		n := copy(lines.Space(), data)
		data = data[n:]
		lines.Filled(n)
		for line := lines.Next(); line != nil; line = lines.Next() {
			p.line(at, from, line, len(data)+len(lines.Pending()))
		}
	}
	if from == client && !p.over && p.m.Foreign(lines.Pending()) {
		p.line(at, from, lines.Rest(), 0)
	}
}

// line plays a line, behind which so many bytes came with it.
func (p *player) line(at int, from side, line []byte, behind int) {
	switch {
	case p.over:
		p.unplayed++
	case from == client:
		p.sum.Client++
		p.clientLine(at, line, behind)
	default:
		p.sum.Server++
		p.serverLine(at, line)
		p.release()
	}
}

// clientLine presents a line of the client, behind those that wait.
func (p *player) clientLine(at int, line []byte, behind int) {
	if len(p.waiting) > 0 {
		p.wait(at, line)
		return
	}
	was := bytes.Clone(line)
	v := p.m.Client(line)
	if v.Wait {
		p.wait(at, was)
		return
	}
	p.judged(&Line{Session: p.number, At: at, From: client.String()}, was, line, v, behind)
}

// wait keeps a line for later. It says no more of it than its verb: what else may
// be shown is known when it is judged.
func (p *player) wait(at int, line []byte) {
	p.waiting = append(p.waiting, waiting{at, bytes.Clone(line)})
	text := "[a line]"
	if v := alg.VerbOf(line); v > alg.Other {
		text = v.String()
	}
	p.tell(&Line{Session: p.number, At: at, From: client.String(), Text: text, Fate: waits,
		Did: []string{"waits: the gateway cannot judge it before the server's next reply"}})
}

// release presents lines that wait again, as far as the machine takes them.
func (p *player) release() {
	for len(p.waiting) > 0 && !p.over {
		w := p.waiting[0]
		line := bytes.Clone(w.line)
		v := p.m.Client(line)
		if v.Wait {
			return
		}
		p.waiting = p.waiting[1:]
		p.judged(&Line{Session: p.number, At: w.at, From: client.String(), again: true}, w.line, line, v, len(p.waiting))
	}
}

// judged tells what became of a line of the client. was is the line as it came,
// line what the machine has made of its bytes.
func (p *player) judged(l *Line, was, line []byte, v alg.Verdict, behind int) {
	l.Text = string(p.redactor.Client(nil, line, v))
	if l.Text == "" {
		l.Text = fmt.Sprintf("[part of a line, %s]", number(len(was), "byte"))
	}
	number := v.Number
	v = p.carryOut(l, v)
	p.clientFate(l, was, v)
	if whole := bytes.HasSuffix(was, []byte("\n")); whole && l.Fate != held {
		s := sent{at: l.At, number: number, passed: len(v.ToServer) > 0}
		switch {
		case v.Rewrite == alg.RewriteToPASV, v.Rewrite == alg.RewriteToEPSV:
			s.asked = v.Rewrite.String()
		case l.Fate == answered && s.passed:
			s.asked = "NOOP"
		}
		p.sent = append(p.sent, s)
	}
	switch {
	case v.End != alg.NoReason:
		p.end(l, v.End)
	case v.Secure != 0 && behind > 0: // CVE-2011-0411
		p.end(l, alg.Injection)
	}
	p.tell(l)
}

// end ends the session: its pinholes go with it.
func (p *player) end(l *Line, why alg.Reason) {
	l.Ends = why.String()
	l.Did = append(l.Did, "ends the session: "+endWords(why))
	p.over = true
	p.sum.Ended++
	for _, id := range p.openPinholes() {
		p.pinholes.remove(id)
		l.Closes = append(l.Closes, Closing{ID: uint32(id), Why: withSession})
		l.Did = append(l.Did, fmt.Sprintf("closes pinhole %d with it", id))
	}
	p.waiting = nil
}

func (p *player) tell(l *Line) { p.emit(Event{Line: l}) }

func (p *player) openPinholes() []alg.ID {
	var ids []alg.ID
	for id := range p.pinholes.open {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// dropPinholes closes what is open and says so.
func (p *player) dropPinholes() {
	for _, id := range p.openPinholes() {
		p.pinholes.remove(id)
		p.note(0, fmt.Sprintf("pinhole %d was still open: it closes with the session, or when it is not used in time", id))
	}
}

// finish tells of what is left at the end of the recording.
func (p *player) finish() {
	for _, from := range []side{client, server} {
		if rest := p.lines[from].Pending(); len(rest) > 0 && !p.over {
			p.note(0, fmt.Sprintf("the %s's last line has no end: it is not played", from))
		}
	}
	if n := len(p.waiting); n > 0 {
		p.note(0, number(n, "line")+" of the client still "+plural(n, "waits", "wait")+" for a reply")
	}
	p.dropPinholes()
	p.sum.Open += p.running
	if p.sum.NotSeen += p.unplayed; p.unplayed > 0 {
		p.note(0, number(p.unplayed, "line")+" more "+plural(p.unplayed, "is", "are")+" recorded: the gateway would not see "+plural(p.unplayed, "it", "them"))
	}
}
