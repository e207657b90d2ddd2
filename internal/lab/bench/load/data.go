package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// The server has these files, and one ZerosName for each size of a bulk
// download.
const (
	SmallName = "/1K"
	SmallSize = 1 << 10
	SinkName  = "/sink"
)

// ZerosName is the name of a file of zeros.
func ZerosName(size int64) string { return "/zeros-" + strconv.FormatInt(size, 10) }

var (
	fetchSmall = []byte("RETR " + SmallName + "\r\n")
	storeSink  = []byte("STOR " + SinkName + "\r\n")
)

// latency is what one transfer took from its PASV or PORT on.
type latency struct{ reply, done time.Duration }

// transfer sets a data connection up, sends the command, moves the data and
// reads the final reply. It connects before it sends the command, as most
// clients do; a PORT's server dials after.
func (s *Session) transfer(active bool, command []byte, move func(stream) error) (latency, error) {
	if active {
		return s.active(command, move)
	}
	began := time.Now()
	if err := s.passive(); err != nil {
		return latency{}, err
	}
	reply := time.Since(began)
	fd, err := connect(&s.peer)
	if err != nil {
		return latency{}, fmt.Errorf("data connection to port %d: %w", s.peer.Port, err)
	}
	if err := s.write(command); err != nil {
		unix.Close(fd)
		return latency{}, err
	}
	if err := s.finish(fd, move, true); err != nil {
		return latency{}, err
	}
	return latency{reply, time.Since(began)}, nil
}

// passive sends PASV and leaves the address of its 227 in peer.
func (s *Session) passive() error {
	if err := s.write(pasv); err != nil {
		return err
	}
	line, err := s.reply()
	if err != nil {
		return fmt.Errorf("PASV: %w", err)
	}
	return s.setPeer(line)
}

// setPeer reads "227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)." with or
// without what is around the numbers.
func (s *Session) setPeer(line []byte) error {
	if !bytes.HasPrefix(line, []byte("227 ")) {
		return fmt.Errorf("PASV was answered with %q", line)
	}
	var fields [6]int
	i, digits := 0, false
	for _, c := range line[4:] {
		switch {
		case '0' <= c && c <= '9' && i < len(fields):
			fields[i], digits = fields[i]*10+int(c-'0'), true
		case c == ',' && digits:
			i++
		case digits && i < len(fields)-1: // another number of the text
			fields, i, digits = [6]int{}, 0, false
		case digits:
			i = len(fields)
		}
	}
	if i < len(fields)-1 {
		return fmt.Errorf("no address in %q", line)
	}
	for j := range s.peer.Addr {
		s.peer.Addr[j] = byte(fields[j])
	}
	s.peer.Port = fields[4]<<8 | fields[5]
	return nil
}

// active is a transfer whose data connection the server makes.
func (s *Session) active(command []byte, move func(stream) error) (latency, error) {
	listener, line, err := s.listen()
	if err != nil {
		return latency{}, err
	}
	defer unix.Close(listener)
	began := time.Now()
	if err := s.do(line, 2); err != nil {
		return latency{}, fmt.Errorf("PORT: %w", err)
	}
	reply := time.Since(began)
	if err := s.do(command, 1); err != nil {
		return latency{}, fmt.Errorf("%s: %w", bytes.TrimSpace(command), err)
	}
	fd, err := accept(listener)
	if err != nil {
		return latency{}, fmt.Errorf("accept a data connection: %w", err)
	}
	if err := s.finish(fd, move, false); err != nil {
		return latency{}, err
	}
	return latency{reply, time.Since(began)}, nil
}

// listen returns a listener on the control connection's address and the PORT
// command that names it.
func (s *Session) listen() (int, []byte, error) {
	own, err := unix.Getsockname(s.fd)
	if err != nil {
		return -1, nil, err
	}
	here := own.(*unix.SockaddrInet4)
	here.Port = 0
	fd, err := socket()
	if err != nil {
		return -1, nil, err
	}
	err = errors.Join(unix.Bind(fd, here), unix.Listen(fd, 1))
	bound, nameErr := unix.Getsockname(fd)
	if err := errors.Join(err, nameErr); err != nil {
		unix.Close(fd)
		return -1, nil, fmt.Errorf("listen: %w", err)
	}
	port := bound.(*unix.SockaddrInet4).Port
	line := append(s.out[:0], "PORT "...)
	for _, b := range here.Addr {
		line = append(strconv.AppendUint(line, uint64(b), 10), ',')
	}
	line = append(strconv.AppendInt(line, int64(port>>8), 10), ',')
	line = strconv.AppendInt(line, int64(port&0xff), 10)
	return fd, append(line, "\r\n"...), nil
}

// finish moves the data, closes its connection and reads the final reply.
func (s *Session) finish(fd int, move func(stream) error, preliminary bool) error {
	d, err := s.dataStream(fd)
	if err != nil {
		return err
	}
	err = move(d)
	if cerr := d.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("data: %w", err)
	}
	if preliminary {
		if err := s.expect(1); err != nil {
			return err
		}
	}
	return s.expect(2)
}

// dataStream puts TLS on a data connection, if it is to have it. Who dialled
// does not matter.
func (s *Session) dataStream(fd int) (stream, error) {
	d := stream{fd: fd}
	if s.data == nil {
		return d, nil
	}
	d, err := secure(d, s.data, true)
	if err != nil {
		unix.Close(fd)
		return d, fmt.Errorf("data: %w", err)
	}
	return d, nil
}

// drain reads to the end and counts.
func drain(d stream, buf []byte) (total int64, err error) {
	for {
		n, err := d.read(buf)
		total += int64(n)
		if err != nil || n == 0 {
			return total, err
		}
	}
}
