package ftpd

import "net"

// Quirks are what a server does wrong: for tests of those who must bear it. The zero value does nothing wrong.
type Quirks struct {
	// Says has whole replies to commands, "EPSV": "502 No." They are said in place of carrying the command out.
	Says map[string]string

	// BehindAUTH is sent in clear behind the 234, in the same write.
	BehindAUTH string

	// Truncate ends protected data connections after so many bytes of a download, as somebody on the way would: the TCP
	// connection ends and its TLS does not, and the server believes that all was sent. 0: does not.
	Truncate int64
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
