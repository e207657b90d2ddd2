package ftpd

import (
	"bufio"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"
)

// security is the TLS of one session (RFC 4217). Data is TLS too where private is set.
type security struct {
	config  *tls.Config // nil: the server has none
	control *tls.Conn   // nil: in clear
	private bool
	buffer  bool // PBSZ was said
}

// newSecurity gives a session ticket keys of its own: a data connection that resumes, resumes this session.
func newSecurity(s *Server) security {
	if s.TLS == nil {
		return security{}
	}
	config := s.TLS.Clone()
	var key [32]byte
	rand.Read(key[:])
	config.SetSessionTicketKeys([][32]byte{key})
	return security{config: config}
}

// secure puts TLS on the control connection. The first read makes the handshake.
func (s *session) secure() {
	s.security.control = tls.Server(&records{Conn: s.tcp}, s.security.config)
	s.conn = s.security.control
	s.in = bufio.NewReaderSize(s.conn, maxLine)
}

// expose ends TLS on the control connection, when the client has ended it too.
func (s *session) expose() {
	secured := s.security.control
	_ = secured.CloseWrite()
	_ = s.tcp.SetWriteDeadline(time.Time{}) // which CloseWrite leaves in the past
	s.security.control, s.conn = nil, s.tcp
	if _, err := io.Copy(io.Discard, secured); err != nil {
		s.tcp.Close() // the next read says so
	}
	s.in = bufio.NewReaderSize(s.conn, maxLine)
}

// auth starts TLS (RFC 4217 section 4). SSL and TLS-P protect data as well, from the beginning.
func (s *session) auth(arg string) {
	arg = strings.ToUpper(arg)
	switch {
	case s.security.config == nil:
		s.reply(502, "This server has no TLS.")
		return
	case s.security.control != nil:
		s.reply(503, "This is TLS already.")
		return
	case !slices.Contains([]string{"TLS", "TLS-C", "SSL", "TLS-P"}, arg):
		s.reply(504, "There is only TLS.")
		return
	case s.in.Buffered() > 0: // CVE-2011-0411
		s.reply(421, "Nothing may follow AUTH in clear.")
		s.conn.Close()
		return
	}
	s.user, s.loggedIn = "", false
	s.security.private = arg == "SSL" || arg == "TLS-P"
	fmt.Fprintf(s.conn, "234 TLS comes next.\r\n%s", s.server.Quirks.BehindAUTH)
	s.secure()
}

func (s *session) pbsz(string) {
	if s.security.control == nil {
		s.reply(503, "AUTH first.")
		return
	}
	s.security.buffer = true
	s.reply(200, "PBSZ=0")
}

func (s *session) prot(arg string) {
	switch arg = strings.ToUpper(arg); {
	case !s.security.buffer:
		s.reply(503, "PBSZ first.")
	case arg != "C" && arg != "P":
		s.reply(536, "Levels are C and P.")
	default:
		s.security.private = arg == "P"
		s.reply(200, "Data is at level "+arg+".")
	}
}

// ccc goes on in clear on the control connection alone (RFC 4217 section 5).
func (s *session) ccc(string) {
	if s.security.control == nil || s.server.Implicit {
		s.reply(533, "There is no TLS that could be left.")
		return
	}
	s.reply(200, "In clear from here on.")
	s.expose()
}

// rein makes the session as new. TLS ends with it, unless the connection began with TLS (RFC 4217 section 13).
func (s *session) rein(string) {
	s.data.close()
	s.user, s.loggedIn, s.cwd, s.restart, s.epsvOnly = "", false, "/", 0, false
	s.security.private, s.security.buffer = s.server.Implicit, false
	s.reply(220, s.server.greeting())
	if s.security.control != nil && !s.server.Implicit {
		s.expose()
	}
}

// Why a data connection is not taken.
var (
	errNotResumed = errors.New("the data connection does not resume the TLS session of the control connection")
	errHandshake  = errors.New("TLS on the data connection")
)

// protect makes TLS on a data connection, where the client asked for it: the server is TLS's server there whoever dialled
// (RFC 4217 section 7).
func (s *session) protect(conn net.Conn) (net.Conn, error) {
	if !s.security.private {
		return conn, nil
	}
	secured := tls.Server(whole{conn}, s.security.config)
	_ = conn.SetDeadline(time.Now().Add(connectTimeout))
	if err := secured.HandshakeContext(s.ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errHandshake, err)
	}
	_ = conn.SetDeadline(time.Time{})
	if s.server.RequireResumption && !secured.ConnectionState().DidResume {
		return nil, errNotResumed
	}
	if s.server.Quirks.Truncate > 0 {
		return &truncated{secured, conn, s.server.Quirks.Truncate}, nil
	}
	return secured, nil
}

// whole is a connection that TLS must end before TCP does. crypto/tls by itself takes the end of TCP between two records for
// the end of the data, as if nobody could cut there.
type whole struct{ net.Conn }

var errCut = errors.New("the connection ended without the end of its TLS")

func (w whole) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if errors.Is(err, io.EOF) {
		err = errCut
	}
	return n, err
}

// records hands TLS the bytes of one record at a time, so that what stands in clear behind the last one is left for whoever
// reads next.
type records struct {
	net.Conn
	head []byte // of the record that is being read
	left int    // bytes of its body
}

// recordHead is type, version and length (RFC 8446 section 5.1).
const recordHead = 5

func (r *records) Read(b []byte) (int, error) {
	if r.left == 0 {
		n, err := r.Conn.Read(b[:min(len(b), recordHead-len(r.head))])
		if r.head = append(r.head, b[:n]...); len(r.head) == recordHead {
			r.left = int(r.head[3])<<8 | int(r.head[4])
			r.head = r.head[:0]
		}
		return n, err
	}
	n, err := r.Conn.Read(b[:min(len(b), r.left)])
	r.left -= n
	return n, err
}
