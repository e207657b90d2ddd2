package load

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// hold brings the held sessions to a number.
func (g *generator) hold(j Job) error {
	const workers = 16
	more := make([]*Session, max(j.Sessions-len(g.held), 0))
	_, err := crew(workers, func(w int) (err error) {
		for i := w; i < len(more); i += workers {
			if more[i], err = loggedIn(j); err != nil {
				return err
			}
		}
		return nil
	})
	for _, s := range more {
		if s != nil {
			g.held = append(g.held, s)
		}
	}
	return err
}

// stall begins a download of Bytes in each of so many sessions, and reads
// nothing of what comes.
func (g *generator) stall(j Job) error {
	if err := g.hold(j); err != nil {
		return err
	}
	for _, s := range g.held {
		d, err := s.begin([]byte("RETR " + ZerosName(j.Bytes) + "\r\n"))
		if err != nil {
			return fmt.Errorf("download %d: %w", len(g.stalled)+1, err)
		}
		g.stalled = append(g.stalled, d)
	}
	return nil
}

// begin is a passive transfer up to where data may move.
func (s *Session) begin(command []byte) (stream, error) {
	if err := s.passive(); err != nil {
		return stream{}, err
	}
	fd, err := connect(&s.peer)
	if err != nil {
		return stream{}, fmt.Errorf("data connection to port %d: %w", s.peer.Port, err)
	}
	if err := s.write(command); err != nil {
		unix.Close(fd)
		return stream{}, err
	}
	d, err := s.dataStream(fd)
	if err != nil {
		return stream{}, err
	}
	if err := s.expect(1); err != nil {
		unix.Close(fd)
		return stream{}, fmt.Errorf("%s: %w", bytes.TrimSpace(command), err)
	}
	return d, nil
}

// release closes what is held.
func (g *generator) release() {
	for _, d := range g.stalled {
		_ = unix.Close(d.fd) // in the middle of what came: a reset
	}
	for _, s := range g.held {
		s.Close()
	}
	g.held, g.stalled = nil, nil
}
