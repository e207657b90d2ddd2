package ftpd

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
)

// transfer is a running one. The session's goroutine aborts it and waits for it; all else is its own goroutine's.
type transfer struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// abort makes the transfer end soon, with 426.
func (t *transfer) abort() {
	t.cancel()
}

// finish waits for the running transfer.
func (s *session) finish() {
	if s.transfer != nil {
		<-s.transfer.done
		s.transfer = nil
	}
}

// chunk is how much is read or written at once: big enough not to be what a benchmark measures.
const chunk = 256 << 10

var zeros [chunk]byte

func (s *session) list(arg string, format func(entry) string) {
	for strings.HasPrefix(arg, "-") { // "-la": for ls
		_, arg, _ = strings.Cut(arg, " ")
	}
	entries, err := s.server.Files.list(s.path(arg))
	if err != nil {
		s.reply(550, errText(err))
		return
	}
	var text strings.Builder
	for _, e := range entries {
		text.WriteString(format(e) + "\r\n")
	}
	s.start("the listing", func(conn net.Conn) error {
		_, err := io.WriteString(conn, text.String())
		return err
	})
}

func (s *session) retrieve(arg string) {
	from := s.takeRestart()
	n, err := s.server.Files.stat(s.path(arg))
	switch {
	case err != nil || n.dir:
		s.reply(550, "No such file.")
		return
	case from > n.size:
		s.reply(551, "The file is not that long.")
		return
	}
	s.start(s.path(arg), func(conn net.Conn) error {
		if n.data != nil {
			_, err := conn.Write(n.data[from:])
			return err
		}
		for left := n.size - from; left > 0; left -= chunk {
			if _, err := conn.Write(zeros[:min(left, chunk)]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s *session) appendTo(arg string) {
	old, err := s.server.Files.Get(s.path(arg))
	if err != nil {
		old = nil // APPE makes the file, as STOR does
	}
	s.store(arg, int64(len(old)))
}

// store receives a file whose first bytes, up to from, are there already.
func (s *session) store(arg string, from int64) {
	name := s.path(arg)
	old, err := s.server.Files.stat(name)
	sink := err == nil && old.sink
	var data []byte
	if from > 0 {
		kept, err := s.server.Files.Get(name)
		if err != nil || from > int64(len(kept)) {
			s.reply(551, "The file is not that long.")
			return
		}
		data = slices.Clone(kept[:from])
	}
	s.start(name, func(conn net.Conn) error {
		data, err := receive(conn, data, sink)
		if err != nil || sink {
			return err
		}
		return s.server.Files.Put(name, data)
	})
}

// receive reads to the end and returns data with what it read appended, or nothing for a sink.
func receive(conn net.Conn, data []byte, sink bool) ([]byte, error) {
	buf := make([]byte, chunk)
	for {
		n, err := conn.Read(buf)
		if !sink {
			data = append(data, buf[:n]...)
		}
		if errors.Is(err, io.EOF) {
			return data, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// start runs a transfer beside the session. Its goroutine writes all replies.
func (s *session) start(what string, copyData func(net.Conn) error) {
	if s.data == (dataPath{}) {
		s.reply(425, "Say PASV, EPSV, PORT or EPRT first.")
		return
	}
	path := s.data
	s.data = dataPath{} // it is the transfer's now
	ctx, cancel := context.WithCancel(s.ctx)
	t := &transfer{cancel, make(chan struct{})}
	s.transfer = t
	s.reply(150, "Here comes "+what+".")
	go func() {
		defer close(t.done)
		defer cancel()
		code, text := s.carry(ctx, path, copyData)
		s.reply(code, text)
	}()
}

// carry opens the data connection, copies, closes, and returns the final reply.
func (s *session) carry(ctx context.Context, path dataPath, copyData func(net.Conn) error) (int, string) {
	conn, err := path.open(ctx, s)
	if ctx.Err() != nil {
		if err == nil {
			conn.Close()
		}
		return 426, "Transfer aborted."
	}
	if err != nil {
		return 425, "No data connection: " + err.Error()
	}
	if n := s.server.Quirks.StopsAfter; n > 0 {
		conn = &stopping{Conn: conn, left: n, closed: make(chan struct{})}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	secured, err := s.protect(conn)
	if err != nil {
		conn.Close()
		if !stop() {
			return 426, "Transfer aborted."
		}
		return 522, err.Error() // RFC 4217 section 10.2: the client is to try another level
	}
	err = copyData(secured)
	aborted := !stop()
	conn = secured
	if cerr := conn.Close(); err == nil {
		err = cerr
	}
	switch {
	case aborted:
		return 426, "Transfer aborted."
	case err != nil:
		return 426, "Transfer broken: " + err.Error()
	}
	return 226, "Transfer complete."
}
