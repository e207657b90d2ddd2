package ftpd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// dataPath is how a transfer gets its connection: by the listener of PASV and EPSV, or to the address of PORT and EPRT.
// The zero value is neither.
type dataPath struct {
	passive net.Listener
	active  netip.AddrPort
}

// connectTimeout is how long a data connection may take, where the server does not say.
const connectTimeout = 20 * time.Second

func (d *dataPath) close() {
	if d.passive != nil {
		d.passive.Close()
	}
	*d = dataPath{}
}

func (s *session) pasv(string) {
	if s.epsvOnly {
		s.reply(501, "You said EPSV ALL.")
		return
	}
	if !s.local.Is4() {
		s.reply(522, "Only EPSV can say an IPv6 address.")
		return
	}
	port, ok := s.listenPassive()
	if ok {
		a := s.local.As4()
		if s.server.Advertise.IsValid() {
			a = s.server.Advertise.As4()
		}
		s.reply(227, fmt.Sprintf("Entering Passive Mode (%d,%d,%d,%d,%d,%d).", a[0], a[1], a[2], a[3], port>>8, port&0xff))
	}
}

// epsv answers EPSV with its optional protocol number, and EPSV ALL (RFC 2428 section 3 and 4).
func (s *session) epsv(arg string) {
	own := "1"
	if s.local.Is6() {
		own = "2"
	}
	switch {
	case strings.EqualFold(arg, "ALL"):
		s.epsvOnly = true
		s.reply(200, "EPSV only, from now on.")
		return
	case arg != "" && arg != own:
		s.reply(522, "Network protocol not supported, use ("+own+")")
		return
	}
	if port, ok := s.listenPassive(); ok {
		s.reply(229, fmt.Sprintf("Entering Extended Passive Mode (|||%d|)", port))
	}
}

func (s *session) listenPassive() (port uint16, ok bool) {
	s.data.close()
	ln, err := s.server.listenPassive(s.local)
	if err != nil {
		s.reply(425, "No port to listen on: "+err.Error())
		return 0, false
	}
	s.data.passive = ln
	return ln.Addr().(*net.TCPAddr).AddrPort().Port() + s.server.Quirks.PortsAside, true
}

func (s *session) port(arg string) {
	addr, err := parsePort(arg)
	s.setActive(addr, err)
}

func (s *session) eprt(arg string) {
	addr, err := parseEprt(arg)
	s.setActive(addr, err)
}

func (s *session) setActive(addr netip.AddrPort, err error) {
	switch {
	case s.epsvOnly:
		s.reply(501, "You said EPSV ALL.")
	case err != nil:
		s.reply(501, err.Error())
	case addr.Addr() != s.peer:
		s.reply(504, "Only your own address.") // RFC 2577 section 3
	default:
		s.data.close()
		s.data.active = addr
		s.reply(200, "I shall dial "+addr.String()+".")
	}
}

// parsePort reads "h1,h2,h3,h4,p1,p2" (RFC 959 section 4.1.2).
func parsePort(arg string) (netip.AddrPort, error) {
	var bytes [6]byte
	fields := strings.Split(arg, ",")
	if len(fields) != len(bytes) {
		return netip.AddrPort{}, errors.New("six numbers, please")
	}
	for i, f := range fields {
		n, err := strconv.ParseUint(f, 10, 8)
		if err != nil {
			return netip.AddrPort{}, errors.New("numbers up to 255, please")
		}
		bytes[i] = byte(n)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(bytes[:4])), uint16(bytes[4])<<8|uint16(bytes[5])), nil
}

// parseEprt reads "|1|132.235.1.2|6275|", with any delimiter (RFC 2428 section 2).
func parseEprt(arg string) (netip.AddrPort, error) {
	if arg == "" {
		return netip.AddrPort{}, errors.New("an address, please")
	}
	fields := strings.Split(arg, arg[:1])
	if len(fields) != 5 {
		return netip.AddrPort{}, errors.New("three fields, please")
	}
	addr, err := netip.ParseAddr(fields[2])
	if err != nil || (fields[1] == "1") != addr.Is4() {
		return netip.AddrPort{}, errors.New("no address of that protocol")
	}
	port, err := strconv.ParseUint(fields[3], 10, 16)
	if err != nil {
		return netip.AddrPort{}, errors.New("no port")
	}
	return netip.AddrPortFrom(addr, uint16(port)), nil
}

// open makes the data connection. It uses the path up.
func (d *dataPath) open(ctx context.Context, s *session) (net.Conn, error) {
	defer d.close()
	ctx, cancel := context.WithTimeout(ctx, s.server.connectTimeout())
	defer cancel()
	if d.active.IsValid() {
		from := &net.TCPAddr{IP: s.local.AsSlice(), Port: s.server.ActiveFrom}
		return s.server.dial(ctx, from, d.active.String())
	}
	passive := d.passive // d forgets it, perhaps before the end of ctx closes it
	defer context.AfterFunc(ctx, func() { passive.Close() })()
	conn, err := passive.Accept()
	if err != nil {
		return nil, errors.Join(err, ctx.Err())
	}
	if peer := conn.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); peer != s.peer {
		conn.Close()
		return nil, fmt.Errorf("a connection came from %v, not from %v", peer, s.peer)
	}
	return conn, nil
}
