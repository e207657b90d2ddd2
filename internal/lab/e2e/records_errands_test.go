package e2e

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab/ftpc"
)

// errand is one transfer, and what its client saw of it.
type errand struct {
	service    string
	mode, verb string
	path       string
	content    []byte // of the file, or what is sent; of a listing, and of TYPE A, which servers write anew, what came
	rest       int
	ascii      bool

	began, ended time.Time
	client       string // the control connection's end
	data         pair
}

// wire is how many bytes go over the data connection.
func (e *errand) wire() uint64 {
	if e.direction() == "download" {
		return uint64(len(e.content) - e.rest)
	}
	return uint64(len(e.content))
}

func (e *errand) direction() string {
	switch e.verb {
	case "RETR":
		return "download"
	case "STOR", "APPE":
		return "upload"
	}
	return "listing"
}

// site is a server behind a service, and how files come to it and are looked at.
type site struct {
	service string
	port    int
	tls     *tls.Config // of clients; nil: in clear
	root    string      // before names
	put     func(name string, content []byte) error
	get     func(name string) ([]byte, error)
	mkdir   func(name string) error
	tame    bool // no names that only the lab's own server bears, and no REST for uploads
}

func (s *site) at(v6 bool) string {
	if v6 {
		return fmt.Sprintf("[2001:db8:1::1]:%d", s.port)
	}
	return fmt.Sprintf("198.51.100.1:%d", s.port)
}

// lie is a name that would be believed where it stands in a reply.
const lie = " (1 bytes)"

// flourishes are ends of names.
var (
	tameFlourishes = []string{"", " a b", " naïve 文件", ` "q" 'q'`, lie, "(", " & <b>", ` back\slash`}
	wildFlourishes = append(tameFlourishes, " \x1b[31m\x07", " \x80\xfe", "\ttab", " \u202egnp", "\x7f")
)

// largest is the size of the largest file.
const largest = 3 << 20

// plan makes up what one session transfers: in each mode a download, an upload, a
// download from the middle, and something rarer.
func (s *site) plan(rng *rand.Rand, number int, modes []string) (errands []*errand) {
	noise := make([]byte, largest)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	some := func(least int) []byte { // one of four is small
		n := least + rng.IntN([...]int{20_000, largest, largest, largest}[rng.IntN(4)]-least+1)
		from := rng.IntN(largest - n + 1)
		return noise[from : from+n]
	}
	flourishes := tameFlourishes
	if !s.tame {
		flourishes = wildFlourishes
	}
	for i, mode := range modes {
		rare := [...]*errand{
			{verb: "RETR", content: []byte{}},
			{verb: "STOR", content: []byte{}},
			{verb: "LIST"},
			{verb: "NLST"},
			{verb: "RETR", content: some(1), ascii: true},
			{verb: "APPE", content: some(1)},
			{verb: "STOR", content: some(1), rest: 7},
			{verb: "STOR", content: some(1), ascii: true},
			{verb: "LIST"},
		}
		middle := some(100)
		for j, e := range []*errand{
			{verb: "RETR", content: some(1)},
			{verb: "STOR", content: some(1)},
			{verb: "RETR", content: middle, rest: 1 + rng.IntN(len(middle)-2)},
			rare[(number*len(modes)+i)%len(rare)],
		} {
			if s.tame && e.verb == "STOR" {
				e.rest = 0
			}
			e.service, e.mode = s.service, mode
			e.path = fmt.Sprintf("%s%s-%d.%d.%d%s", s.root, s.service, number, i, j, flourishes[(number+4*i+j)%len(flourishes)])
			if e.direction() == "listing" {
				e.path = fmt.Sprintf("%sdir-%d.%d", s.root, number, i)
			}
			if strings.HasSuffix(e.path, lie) {
				e.content = e.content[:min(len(e.content), 30_000)]
				e.rest = min(e.rest, len(e.content)/2)
			}
			errands = append(errands, e)
		}
	}
	return errands
}

// furnish puts what an errand needs on the server.
func (s *site) furnish(e *errand) error {
	switch {
	case e.direction() == "listing":
		if err := s.mkdir(e.path); err != nil {
			return err
		}
		for i := range 30 {
			if err := s.put(fmt.Sprintf("%s/file-%d", e.path, i), nil); err != nil {
				return err
			}
		}
	case e.verb == "RETR":
		return s.put(e.path, e.content)
	case e.rest > 0:
		return s.put(e.path, make([]byte, e.rest))
	}
	return nil
}

// login is a client that has logged in, with data protected where there is TLS.
func (s *site) login(t testing.TB, n ftpc.Network, v6 bool) *ftpc.Client {
	t.Helper()
	c, err := ftpc.Dial(n, s.at(v6))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if s.tls != nil {
		if err := c.Auth(s.tls, ""); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
	if s.tls != nil {
		if err := c.Protect(); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// do carries an errand out, and looks whether what arrived is what was sent.
func (s *site) do(c *ftpc.Client, w *onlooker, e *errand) error {
	kind := "TYPE I"
	if e.ascii {
		kind = "TYPE A"
	}
	if err := c.Must(2, kind); err != nil {
		return err
	}
	d, err := c.SetUp(e.mode)
	if err != nil {
		return err
	}
	if e.rest > 0 {
		if err := c.Must(3, fmt.Sprintf("REST %d", e.rest)); err != nil {
			return err
		}
	}
	e.client, e.began = c.Conn.LocalAddr().String(), time.Now()
	command := e.verb + " " + e.path
	if e.direction() == "upload" {
		err = c.Upload(d, command, e.content)
	} else {
		var got []byte
		got, err = c.Download(d, command)
		if e.direction() == "listing" || e.ascii {
			e.content = got
		}
		if err == nil && !bytes.Equal(got, e.content[e.rest*btoi(e.verb == "RETR"):]) {
			err = fmt.Errorf("%q: %d bytes arrived, and not the %d of the file", command, len(got), e.wire())
		}
	}
	e.ended, e.data = time.Now(), w.last()
	if err == nil && e.direction() == "upload" && !e.ascii {
		err = s.stored(e)
	}
	return err
}

func (s *site) stored(e *errand) error {
	got, err := s.get(e.path)
	if err == nil && !bytes.Equal(got[e.rest:], e.content) {
		err = fmt.Errorf("%s %q: the server has %d bytes, and not the %d that were sent", e.verb, e.path, len(got)-e.rest, len(e.content))
	}
	return err
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// logged is a name as an xferlog has it.
func logged(name string) string {
	shown := strings.Map(func(r rune) rune {
		switch r {
		case ' ', '"', '\t', '\x1b', '\a', '\x7f', '\u202e':
			return '_'
		}
		return r
	}, strings.ReplaceAll(name, "\x80\xfe", "__"))
	for _, brackets := range []string{"()", "[]"} {
		if strings.Count(shown, brackets[:1]) != strings.Count(shown, brackets[1:]) {
			shown = strings.ReplaceAll(shown, brackets[:1], "_")
		}
	}
	return shown
}
