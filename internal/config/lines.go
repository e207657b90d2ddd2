package config

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// findLines says on which line each table, key and list element of a TOML text
// begins, under the paths that the reader uses: service[0].timeouts.idle.
//
// It leans on the text being valid, which the library has seen to: on anything
// else it ends all the same, with lines of no meaning.
func findLines(text string) map[string]int {
	s := &scanner{text: text, line: 1, lines: make(map[string]int), tables: make(map[string]int)}
	table := ""
	for s.blank(); !s.done(); s.blank() {
		if s.peek() == '[' {
			table = s.header()
		} else {
			s.pair(table)
		}
	}
	return s.lines
}

// scanner is a position in the text and what was found before it.
type scanner struct {
	text   string
	pos    int
	line   int // of pos
	lines  map[string]int
	tables map[string]int // how many [[path]] there were so far
}

func (s *scanner) done() bool { return s.pos >= len(s.text) }

// peek returns the byte at pos, 0 at the end: TOML has no such byte.
func (s *scanner) peek() byte {
	if s.done() {
		return 0
	}
	return s.text[s.pos]
}

func (s *scanner) skip(n int) {
	end := min(s.pos+n, len(s.text))
	s.line += strings.Count(s.text[s.pos:end], "\n")
	s.pos = end
}

// take steps over token when it is next.
func (s *scanner) take(token string) bool {
	if !strings.HasPrefix(s.text[s.pos:], token) {
		return false
	}
	s.skip(len(token))
	return true
}

// until steps to the next of the stop bytes, or to the end.
func (s *scanner) until(stops string) {
	n := strings.IndexAny(s.text[s.pos:], stops)
	if n < 0 {
		n = len(s.text) - s.pos
	}
	s.skip(n)
}

// blank steps over white space, ends of lines and comments.
func (s *scanner) blank() {
	for !s.done() {
		switch {
		case s.peek() == '#':
			s.until("\n")
		case strings.IndexByte(" \t\r\n", s.peek()) >= 0:
			s.skip(1)
		case s.pos == 0 && s.take("\ufeff"):
		default:
			return
		}
	}
}

// record keeps the first line of a path: tables are mentioned again and again.
func (s *scanner) record(path string) {
	if _, ok := s.lines[path]; !ok {
		s.lines[path] = s.line
	}
}

// header reads [a.b] or [[a.b]] and returns the path that its keys stand under.
// A name that was an array of tables before means its last element.
func (s *scanner) header() string {
	array := s.take("[[")
	if !array {
		s.skip(1)
	}
	path := ""
	names := s.names()
	for i, name := range names {
		path = join(path, name)
		s.record(path)
		if array && i == len(names)-1 {
			s.tables[path]++
		}
		if n := s.tables[path]; n > 0 {
			path = element(path, n-1)
			s.record(path)
		}
	}
	s.until("\n")
	return path
}

// pair reads a.b = value below a table.
func (s *scanner) pair(path string) {
	for _, name := range s.names() {
		path = join(path, name)
		s.record(path)
	}
	if !s.take("=") {
		s.skip(1)
		return
	}
	s.blank()
	s.value(path)
}

// names reads the parts of a dotted key.
func (s *scanner) names() []string {
	var names []string
	for {
		s.blank()
		start := s.pos
		if c := s.peek(); c == '"' || c == '\'' {
			s.quoted()
			names = append(names, unquote(s.text[start:s.pos]))
		} else {
			s.until(".=] \t\r\n")
			names = append(names, s.text[start:s.pos])
		}
		s.blank()
		if !s.take(".") {
			return names
		}
	}
}

// unquote has the library read a quoted key: its escapes are many.
func unquote(name string) string {
	var v struct{ K string }
	if err := toml.Unmarshal([]byte("k = "+name), &v); err != nil {
		return name
	}
	return v.K
}

func (s *scanner) value(path string) {
	switch s.peek() {
	case '"', '\'':
		s.quoted()
	case '[':
		s.list(']', func(i int) {
			at := element(path, i)
			s.record(at)
			s.value(at)
		})
	case '{':
		s.list('}', func(int) { s.pair(path) })
	default: // a number, a date, true or false
		s.until(",]}#\n")
	}
}

// list reads what stands between a bracket and its partner, item by item.
func (s *scanner) list(end byte, item func(i int)) {
	s.skip(1)
	for i := 0; ; i++ {
		s.blank()
		if s.done() || s.peek() == end {
			s.skip(1)
			return
		}
		before := s.pos
		item(i)
		s.blank()
		if !s.take(",") && s.pos == before {
			s.skip(1)
		}
	}
}

// quoted reads any of the four kinds of string.
func (s *scanner) quoted() {
	quote := s.text[s.pos : s.pos+1]
	long := strings.Repeat(quote, 3)
	end := quote
	if s.take(long) {
		end = long
	} else {
		s.skip(1)
	}
	for !s.done() && !s.take(end) {
		if s.peek() == '\\' && quote == `"` {
			s.skip(1)
		}
		s.skip(1)
	}
	// A long string may end in one or two quotes of its own before the three.
	for n := 0; end == long && n < 2 && s.take(quote); n++ {
	}
}
