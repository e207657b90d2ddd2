// Package load is the benchmark's client: FTP sessions on blocking sockets,
// nothing between them and the kernel, so that what is measured is the gateway.
//
// A worker is a goroutine that sits in system calls. GOMAXPROCS is raised above
// the number of workers while they run, and each is then what a thread is to a
// C program: no poller, no queue of runnable goroutines, no wake-ups but the
// kernel's.
//
//	s, err := load.Dial(server)
//	err = s.Login()
//	reply, done, err := s.Fetch("RETR /1K", passive) // one transfer, two latencies
//
// An Agent is the same in a process of its own, in a namespace of the lab.
package load

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// patience bounds every system call that waits.
const patience = 30 // seconds

// Session is one control connection. It is one goroutine's.
type Session struct {
	stream
	data *tls.Config        // of data connections; nil: in clear
	peer unix.SockaddrInet4 // of data connections; a field, so that no dial allocates

	in         [2048]byte
	start, end int
	out        [128]byte
}

// Dial connects to an IPv4 address and reads the greeting.
func Dial(server netip.AddrPort) (*Session, error) {
	s := new(Session)
	if err := s.dial(server); err != nil {
		return nil, err
	}
	return s, nil
}

// dial is Dial with a session that has been used and closed, in clear.
func (s *Session) dial(server netip.AddrPort) error {
	s.peer.Addr, s.peer.Port = server.Addr().As4(), int(server.Port())
	s.start, s.end = 0, 0
	var err error
	if s.fd, err = connect(&s.peer); err != nil {
		return fmt.Errorf("dial %v: %w", server, err)
	}
	if err := s.expect(2); err != nil {
		s.Close()
		return fmt.Errorf("greeting: %w", err)
	}
	return nil
}

// Close closes the connection without QUIT.
func (s *Session) Close() { _ = unix.Close(s.fd) }

var (
	user = []byte("USER demo\r\n")
	pass = []byte("PASS demo\r\n")
	quit = []byte("QUIT\r\n")
	noop = []byte("NOOP\r\n")
	pasv = []byte("PASV\r\n")
	auth = []byte("AUTH TLS\r\n")
	pbsz = []byte("PBSZ 0\r\n")
	prot = []byte("PROT P\r\n")
)

// Secure puts TLS on the session and what becomes of it (RFC 4217).
func (s *Session) Secure(server netip.Addr) error {
	if err := s.do(auth, 2); err != nil {
		return fmt.Errorf("AUTH: %w", err)
	}
	var err error
	s.data = clientTLS(server)
	if s.stream, err = secure(s.stream, s.data, false); err != nil {
		return err
	}
	if err := s.do(pbsz, 2); err != nil {
		return fmt.Errorf("PBSZ: %w", err)
	}
	if err := s.do(prot, 2); err != nil {
		return fmt.Errorf("PROT: %w", err)
	}
	return nil
}

// Login logs in as demo.
func (s *Session) Login() error {
	if err := s.do(user, 3); err != nil {
		return fmt.Errorf("USER: %w", err)
	}
	if err := s.do(pass, 2); err != nil {
		return fmt.Errorf("PASS: %w", err)
	}
	return nil
}

// Quit says good-bye and closes.
func (s *Session) Quit() error {
	defer s.Close()
	if err := s.do(quit, 2); err != nil {
		return fmt.Errorf("QUIT: %w", err)
	}
	return nil
}

// do sends a line and reads its reply.
func (s *Session) do(line []byte, class byte) error {
	if err := s.write(line); err != nil {
		return err
	}
	return s.expect(class)
}

// expect reads a reply of a class, 2 for 2yz.
func (s *Session) expect(class byte) error {
	line, err := s.reply()
	if err == nil && line[0] != '0'+class {
		err = fmt.Errorf("want a %dyz, got %q", class, line)
	}
	return err
}

// reply returns the last line of the next reply. It is good until the next read.
func (s *Session) reply() ([]byte, error) {
	for {
		line, err := s.line()
		if err != nil {
			return nil, err
		}
		if len(line) < 3 {
			return nil, fmt.Errorf("not a reply: %q", line)
		}
		final := len(line) == 3 || line[3] == ' '
		for _, c := range line[:3] {
			final = final && '0' <= c && c <= '9' // of a multi-line reply, the last line alone is so
		}
		if final {
			return line, nil
		}
	}
}

func (s *Session) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(s.in[s.start:s.end], '\n'); i >= 0 {
			line := s.in[s.start : s.start+i]
			s.start += i + 1
			return bytes.TrimSuffix(line, []byte{'\r'}), nil
		}
		if s.start > 0 {
			s.end = copy(s.in[:], s.in[s.start:s.end])
			s.start = 0
		}
		if s.end == len(s.in) {
			return nil, errors.New("a line longer than any server's")
		}
		n, err := s.read(s.in[s.end:])
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return nil, errors.New("the control connection was closed")
		}
		s.end += n
	}
}

// connect returns a connected blocking socket.
func connect(to *unix.SockaddrInet4) (int, error) {
	fd, err := socket()
	if err != nil {
		return -1, err
	}
	for {
		// The runtime's signals interrupt it; asked again, it goes on waiting.
		switch err := unix.Connect(fd, to); err {
		case nil, unix.EISCONN:
			return fd, nil
		case unix.EINTR:
		default:
			unix.Close(fd)
			return -1, err
		}
	}
}

// accept returns the next connection of a listener.
func accept(listener int) (int, error) {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// socket returns a TCP socket without Nagle's delay, in which nothing waits for
// ever.
func socket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	limit := unix.Timeval{Sec: patience}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(fd, b)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func read(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch err {
		case unix.EINTR:
		case unix.EAGAIN:
			return 0, fmt.Errorf("nothing came for %d s", patience)
		default:
			return n, err
		}
	}
}
