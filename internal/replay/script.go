package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"ftpgate/alg"
)

const (
	maxTextLine = 64 << 10 // longer than any line of FTP that a machine keeps in one piece
	maxUnread   = 20       // lines that are neither side's, of which each is named
)

// script reads a text.
type script struct {
	rec     recording
	kept    keeper
	streams map[string]*stream
	raw     bool   // the client logs replies as they are: no server's line had a form yet
	talk    int    // lines that clients say beside the dialogue
	before  string // the line before
	waiting []part // notes of before the first dialogue
}

// stream is one of the connections that a log follows at once.
type stream struct {
	dialogue *dialogue
	ending   bool   // the next 220 greets on another connection
	within   string // a raw reply of several lines: the code and blank that end it; "": none
}

// readScript reads the dialogues of a text.
func readScript(r *bufio.Reader) (recording, error) {
	if head, _ := r.Peek(2); bytes.Equal(head, []byte{0xff, 0xfe}) || bytes.Equal(head, []byte{0xfe, 0xff}) {
		return recording{}, errors.New("it is UTF-16: convert it, for example by iconv -f UTF-16 -t UTF-8")
	}
	s := &script{streams: map[string]*stream{}, raw: true}
	for at := 1; ; at++ {
		line, long, err := readLine(r)
		if at == 1 {
			line = strings.TrimPrefix(line, "\ufeff")
		}
		if long {
			s.unread(at, fmt.Sprintf("a line of more than %d KiB: it is left out", maxTextLine>>10))
		} else if strings.TrimSpace(line) != "" && !s.line(at, line) {
			return s.done(), errFull
		}
		if errors.Is(err, io.EOF) {
			return s.done(), nil
		}
		if err != nil {
			return s.done(), fmt.Errorf("read line %d: %w", at, err)
		}
	}
}

// readLine returns the next line without its end; of one that is too long, only that it is.
func readLine(r *bufio.Reader) (line string, long bool, err error) {
	var b []byte
	for {
		piece, err := r.ReadSlice('\n')
		if len(b)+len(piece) > maxTextLine {
			long, b = true, nil
		}
		if !long {
			b = append(b, piece...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return string(bytes.TrimRight(b, "\r\n")), long, err
		}
	}
}

// line places one line of the text. It reports false when no more can be kept.
func (s *script) line(at int, line string) bool {
	said, ok := parse(line)
	st := s.stream(said.stream)
	if s.raw && (!ok || said.status) && st.rawLine(line) {
		said, ok = parsedRaw(line), true
		said.status = rawReply.MatchString(said.text) && said.text == s.before // tnftp says some replies twice
	} else if ok && !said.status && said.from == server {
		s.raw = false
	}
	switch {
	case !ok:
		s.unread(at, "neither a client's nor a server's line: write C: or S: before it, or # before a comment")
		return true
	case said.fresh:
		st.ending = true
	}
	s.before = said.text
	if said.status {
		s.talk++
		return true
	}
	if !said.whole {
		said.text += "\r\n"
	}
	return s.add(st, part{at: at, from: said.from, bytes: []byte(said.text)})
}

func parsedRaw(line string) said {
	return said{from: server, text: line[len(leadingTime.FindString(line)):]}
}

// rawLine reports whether a line is the server's though nothing says so: a reply,
// as tnftp and its kin print it, or a line within one.
func (st *stream) rawLine(line string) bool {
	line = line[len(leadingTime.FindString(line)):]
	if st.within != "" {
		if strings.HasPrefix(line, st.within) {
			st.within = ""
		}
		return true
	}
	if !rawReply.MatchString(line) || chatter.MatchString(line) {
		return false
	}
	if line[3] == '-' {
		st.within = line[:3] + " "
	}
	return true
}

// stream returns the connection that a log calls so.
func (s *script) stream(name string) *stream {
	if s.streams[name] == nil && len(s.streams) >= maxSessions {
		name = "" // a log that follows so many is none
	}
	if s.streams[name] == nil {
		s.streams[name] = new(stream)
	}
	return s.streams[name]
}

// add puts a part into the dialogue of its stream, or into a new one that it begins.
func (s *script) add(st *stream, p part) bool {
	greets := p.from == server && bytes.HasPrefix(p.bytes, []byte("220"))
	if st.dialogue == nil || st.ending && greets {
		if len(s.rec.dialogues) == maxSessions || !s.kept.fits(4*partWeighs) {
			return false
		}
		st.dialogue, st.ending = new(dialogue), false
		s.rec.dialogues = append(s.rec.dialogues, st.dialogue)
		st.dialogue.parts, s.waiting = s.waiting, nil
	}
	if !s.kept.fits(len(p.bytes)) {
		return false
	}
	st.dialogue.parts = append(st.dialogue.parts, p)
	switch {
	case p.from == client && alg.VerbOf(p.bytes) == alg.QUIT,
		p.from == server && (bytes.HasPrefix(p.bytes, []byte("221 ")) || bytes.HasPrefix(p.bytes, []byte("421 "))):
		st.ending = true
	}
	return true
}

// unread notes a line that cannot be placed. What it says is not repeated: it
// may be anything, a password for one.
func (s *script) unread(at int, why string) {
	if s.rec.bad++; s.rec.bad > maxUnread {
		return
	}
	p := part{at: at, note: why, unread: true}
	if n := len(s.rec.dialogues); n > 0 {
		d := s.rec.dialogues[n-1]
		d.parts = append(d.parts, p)
		return
	}
	s.waiting = append(s.waiting, p)
}

func (s *script) done() recording {
	if more := s.rec.bad - maxUnread; more > 0 {
		s.rec.notes = append(s.rec.notes, fmt.Sprintf("%s more %s neither side's", number(more, "line"), plural(more, "is", "are")))
	}
	if s.talk > 0 {
		s.rec.notes = append(s.rec.notes, fmt.Sprintf("%s of the text: %s, or what the client says beside the dialogue", number(s.talk, "line"), plural(s.talk, "a comment", "comments")))
	}
	return s.rec
}
