// Package dnsd is a small DNS server for tests: addresses of a few names, which
// may change while it serves.
//
//	zone := dnsd.New()
//	zone.Set("ftp.example.com", netip.MustParseAddr("203.0.113.1"))
//	go zone.Serve(conn)
//
// Be aware: it knows A and AAAA over UDP, and nothing else.
package dnsd

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"

	"golang.org/x/net/dns/dnsmessage"
)

// Zone is what the server knows.
type Zone struct {
	mu    sync.Mutex
	names map[string][]netip.Addr // without the last dot
}

// New returns an empty zone.
func New() *Zone { return &Zone{names: map[string][]netip.Addr{}} }

// Set gives a name its addresses, in place of those that it had. Without any, there is no such name.
func (z *Zone) Set(name string, addrs ...netip.Addr) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if len(addrs) == 0 {
		delete(z.names, name)
		return
	}
	z.names[name] = addrs
}

// Serve answers until the socket is closed, which is the caller's to do.
func (z *Zone) Serve(conn net.PacketConn) error {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read a question: %w", err)
		}
		if answer, err := z.answer(buf[:n]); err == nil { // else it was no question
			_, _ = conn.WriteTo(answer, from)
		}
	}
}

func (z *Zone) answer(question []byte) ([]byte, error) {
	var m dnsmessage.Message
	if err := m.Unpack(question); err != nil {
		return nil, err
	}
	if m.Response || len(m.Questions) != 1 {
		return nil, errors.New("not one question")
	}
	m.Response, m.Authoritative, m.RecursionAvailable = true, true, true
	m.Answers, m.Authorities, m.Additionals = nil, nil, nil // the question's EDNS among them
	q := m.Questions[0]
	z.mu.Lock()
	addrs, known := z.names[strings.TrimSuffix(q.Name.String(), ".")]
	z.mu.Unlock()
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addrs {
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: a.As4()}})
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return m.Pack()
}
