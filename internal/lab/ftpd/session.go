package ftpd

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"path"
	"strconv"
	"strings"
)

// session is one control connection. One goroutine reads it; a transfer runs in a second one, and while it does only
// that one writes, so that ABOR can be heard and nothing needs a lock.
type session struct {
	server *Server
	tcp    net.Conn
	conn   net.Conn // tcp, or the TLS on it
	in     *bufio.Reader
	ctx    context.Context

	local, peer netip.Addr // of the control connection: the data connections' too
	localPort   uint16

	user     string
	loggedIn bool
	cwd      string
	restart  int64 // REST, for the next transfer
	epsvOnly bool  // EPSV ALL was said

	security security

	data     dataPath  // how the next transfer gets its connection
	transfer *transfer // the running one, or nil
}

// maxLine is more than any client sends.
const maxLine = 4096

func newSession(s *Server, conn net.Conn) *session {
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	peer := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	made := &session{
		server: s, tcp: conn, conn: conn, in: bufio.NewReaderSize(conn, maxLine), cwd: "/", security: newSecurity(s),
		local: local.Addr().Unmap(), peer: peer.Addr().Unmap(), localPort: local.Port(),
	}
	if s.Implicit {
		made.secure()
		made.security.private = true
	}
	return made
}

// run serves the session to its end.
func (s *session) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { s.tcp.Close() })()
	s.ctx = ctx
	defer func() {
		cancel()
		s.conn.Close()
		s.finish()
		s.data.close()
	}()

	s.reply(220, s.server.greeting())
	for {
		line, err := s.in.ReadSlice('\n')
		if err != nil {
			return // gone, or a line that nobody sends
		}
		verb, arg := parse(string(line))
		if verb == "ABOR" && s.transfer != nil {
			s.transfer.abort()
		}
		s.finish()
		if verb == "QUIT" {
			s.reply(221, "Goodbye.")
			return
		}
		s.dispatch(verb, arg)
	}
}

// Telnet's words before ABOR, which some clients send in part as urgent data (RFC 959 section 4.1.3, RFC 854).
const (
	telnetIAC  = 0xff // the next byte is a command
	telnetMark = 0xf2 // the command that may have lost its IAC to the urgent data
)

// parse takes a line apart.
func parse(line string) (verb, arg string) {
	for len(line) >= 2 && (line[0] == telnetIAC || line[0] == telnetMark) {
		if line[0] == telnetIAC {
			line = line[1:]
		}
		line = line[1:]
	}
	verb, arg, _ = strings.Cut(strings.TrimRight(line, "\r\n"), " ")
	return strings.ToUpper(verb), arg
}

// verbs are the commands of a user who is logged in.
var verbs = map[string]func(*session, string){
	"SYST": func(s *session, _ string) { s.reply(215, "UNIX Type: L8") },
	"NOOP": func(s *session, _ string) { s.reply(200, "Nothing done.") },
	"ABOR": func(s *session, _ string) { s.data.close(); s.reply(226, "Nothing runs any more.") },
	"PWD":  func(s *session, _ string) { s.reply(257, strconv.Quote(s.cwd)+" is where you are.") },
	"CDUP": func(s *session, _ string) { s.chdir("..") },
	"CWD":  (*session).chdir,
	"TYPE": (*session).setType,
	"MODE": func(s *session, arg string) { s.onlyKnown(arg, "S") },
	"STRU": func(s *session, arg string) { s.onlyKnown(arg, "F") },
	"ALLO": func(s *session, _ string) { s.reply(202, "No need to.") },
	"SIZE": (*session).size,
	"DELE": (*session).remove,
	"RMD":  (*session).remove,
	"MKD":  (*session).mkdir,
	"REST": (*session).rest,
	"PASV": (*session).pasv,
	"EPSV": (*session).epsv,
	"PORT": (*session).port,
	"EPRT": (*session).eprt,
	"LIST": func(s *session, arg string) { s.list(arg, entry.unix) },
	"NLST": func(s *session, arg string) { s.list(arg, func(e entry) string { return e.name }) },
	"MLSD": func(s *session, arg string) { s.list(arg, entry.facts) },
	"RETR": (*session).retrieve,
	"STOR": func(s *session, arg string) { s.store(arg, s.takeRestart()) },
	"APPE": (*session).appendTo,
}

// early are the commands that need no login.
var early = map[string]func(*session, string){
	"USER": func(s *session, arg string) { s.user, s.loggedIn = arg, false; s.reply(331, "Password, please.") },
	"PASS": (*session).login,
	"FEAT": func(s *session, _ string) { s.features() },
	"AUTH": (*session).auth,
	"PBSZ": (*session).pbsz,
	"PROT": (*session).prot,
	"CCC":  (*session).ccc,
	"REIN": (*session).rein,
}

func (s *session) dispatch(verb, arg string) {
	if said := s.server.Quirks.Says[verb]; said != "" {
		fmt.Fprintf(s.conn, "%s\r\n", said)
		return
	}
	if f, ok := early[verb]; ok {
		f(s, arg)
		return
	}
	f, known := verbs[verb]
	switch {
	case !known:
		s.reply(502, "This server does not know "+strconv.Quote(verb)+".")
	case !s.loggedIn:
		s.reply(530, "Log in with USER and PASS first.")
	default:
		f(s, arg)
	}
}

func (s *session) features() {
	tls := ""
	if s.server.TLS != nil {
		tls = " AUTH TLS\r\n PBSZ\r\n PROT\r\n"
	}
	fmt.Fprintf(s.conn, "211-Features:\r\n%s EPRT\r\n EPSV\r\n MLSD type*;size*;modify*;\r\n REST STREAM\r\n SIZE\r\n211 End\r\n", tls)
}

func (s *session) login(password string) {
	want := s.server
	if s.security.control == nil && want.RequireTLS {
		s.reply(530, "Not in clear: AUTH TLS first.")
		return
	}
	if s.user == "" || want.User != "" && (s.user != want.User || password != want.Password) {
		s.reply(530, "Wrong user or password.")
		return
	}
	s.loggedIn = true
	s.reply(230, "Welcome.")
}

func (s *session) chdir(arg string) {
	name := s.path(arg)
	if n, err := s.server.Files.stat(name); err != nil || !n.dir {
		s.reply(550, "No such folder.")
		return
	}
	s.cwd = name
	s.reply(250, "You are in "+name+".")
}

func (s *session) setType(arg string) {
	switch strings.ToUpper(arg) {
	case "A", "A N", "I", "L 8":
		s.reply(200, "Type set.")
	default:
		s.reply(504, "Types are A and I.")
	}
}

func (s *session) onlyKnown(arg, known string) {
	if !strings.EqualFold(arg, known) {
		s.reply(504, "There is only "+known+".")
		return
	}
	s.reply(200, "As ever.")
}

func (s *session) size(arg string) {
	n, err := s.server.Files.stat(s.path(arg))
	if err != nil || n.dir {
		s.reply(550, "No such file.")
		return
	}
	s.reply(213, strconv.FormatInt(n.size, 10))
}

func (s *session) remove(arg string) {
	if err := s.server.Files.Remove(s.path(arg)); err != nil {
		s.reply(550, errText(err))
		return
	}
	s.reply(250, "Removed.")
}

func (s *session) mkdir(arg string) {
	if err := s.server.Files.Mkdir(s.path(arg)); err != nil {
		s.reply(550, errText(err))
		return
	}
	s.reply(257, strconv.Quote(s.path(arg))+" made.")
}

func (s *session) rest(arg string) {
	n, err := strconv.ParseInt(arg, 10, 64)
	if err != nil || n < 0 {
		s.reply(501, "REST takes a number.")
		return
	}
	s.restart = n
	s.reply(350, "The next transfer starts there.")
}

// takeRestart returns the offset of REST, which is good for one transfer.
func (s *session) takeRestart() int64 {
	n := s.restart
	s.restart = 0
	return n
}

// path makes an argument absolute.
func (s *session) path(arg string) string {
	if !strings.HasPrefix(arg, "/") {
		arg = s.cwd + "/" + arg
	}
	return path.Clean(arg)
}

// reply writes one line. If it cannot be written, the next read ends the session.
func (s *session) reply(code int, text string) {
	fmt.Fprintf(s.conn, "%d %s\r\n", code, text)
}
