package ftpd

import (
	"net"
	"sync"
)

// Quirks are what a server does wrong: for tests of those who must bear it. The zero value does nothing wrong.
type Quirks struct {
	// Says has whole replies to commands, "EPSV": "502 No." They are said in place of carrying the command out.
	Says map[string]string

	// BehindAUTH is sent in clear behind the 234, in the same write.
	BehindAUTH string

	// Truncate ends protected data connections after so many bytes of a download, as somebody on the way would: the TCP
	// connection ends and its TLS does not, and the server believes that all was sent. 0: does not.
	Truncate int64

	// PortsAside is added to the ports that PASV and EPSV name: nobody listens there.
	PortsAside uint16

	// StopsAfter so many bytes of a download the server sends nothing more, and ends nothing. 0: does not.
	StopsAfter int64
}

// stopping is a data connection to whose end nothing comes after some bytes.
type stopping struct {
	net.Conn
	left   int64
	closed chan struct{}
	once   sync.Once
}

func (s *stopping) Write(b []byte) (int, error) {
	n := min(int64(len(b)), s.left)
	if n, err := s.Conn.Write(b[:n]); err != nil {
		return n, err
	}
	if s.left -= n; s.left > 0 {
		return len(b), nil
	}
	<-s.closed
	return int(n), net.ErrClosed
}

func (s *stopping) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

// truncated is a data connection whose last bytes are lost on the way.
type truncated struct {
	net.Conn          // with TLS
	tcp      net.Conn // below it
	left     int64
}

func (t *truncated) Write(b []byte) (int, error) {
	n := min(int64(len(b)), t.left)
	t.left -= n
	if _, err := t.Conn.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Close leaves TLS without its end.
func (t *truncated) Close() error { return t.tcp.Close() }
