package demo

import (
	"net"
	"net/netip"
	"strings"
	"sync"
)

// recorder keeps the last set-up line that the server sent or got, so that the
// show can put it beside what the client saw.
type recorder struct {
	mu   sync.Mutex
	last map[string]string // by set-up command
}

func (r *recorder) line(mode string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[mode]
}

func (r *recorder) note(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.last == nil {
		r.last = map[string]string{}
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		for prefix, mode := range map[string]string{"227 ": "PASV", "229 ": "EPSV", "PORT ": "PORT", "EPRT ": "EPRT"} {
			if strings.HasPrefix(line, prefix) {
				r.last[mode] = line
			}
		}
	}
}

type recordingListener struct {
	net.Listener
	heard *recorder
}

func (l recordingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return recordingConn{conn, l.heard}, nil
}

type recordingConn struct {
	net.Conn
	heard *recorder
}

func (c recordingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.heard.note(b[:n])
	return n, err
}

func (c recordingConn) Write(b []byte) (int, error) {
	c.heard.note(b)
	return c.Conn.Write(b)
}

func addrPortOf(a net.Addr) netip.AddrPort { return a.(*net.TCPAddr).AddrPort() }
