package demo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"time"

	"ftpgate/internal/lab/ftpc"
)

// act is one transfer of the show.
type act struct {
	title  string
	mode   string // the set-up command
	at     string // the gateway's address
	verb   string
	upload bool
}

const (
	gateway4 = "198.51.100.1:21"
	gateway6 = "[2001:db8:1::1]:21"
)

var acts = []act{
	{"passive download", "PASV", gateway4, "RETR", false},
	{"passive upload", "PASV", gateway4, "STOR", true},
	{"passive listing", "PASV", gateway4, "LIST", false},
	{"active download", "PORT", gateway4, "RETR", false},
	{"active upload", "PORT", gateway4, "STOR", true},
	{"active listing", "PORT", gateway4, "LIST", false},
	{"passive download over IPv6", "EPSV", gateway6, "RETR", false},
	{"active upload over IPv6", "EPRT", gateway6, "STOR", true},
}

// transfers plays all acts and fails if one does.
func (s *show) transfers(ctx context.Context) error {
	failed := 0
	for i, a := range acts {
		s.say("\n%d. %s (%s, %s)", i+1, a.title, a.mode, a.verb)
		if err := s.play(ctx, a, i); err != nil {
			failed++
			s.say("   FAILED   %v", err)
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d transfers failed", failed, len(acts))
	}
	s.say("\nAll %d transfers went through, every checksum matched, no pinhole is left.", len(acts))
	return nil
}

func (s *show) play(ctx context.Context, a act, i int) error {
	c, err := ftpc.Dial(s.lab.Client, a.at)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := errors.Join(c.Login(), c.Must(2, "TYPE I")); err != nil {
		return err
	}
	data, err := c.SetUp(a.mode)
	if err != nil {
		return err
	}
	s.sayRewrite(a, data)
	if err := s.sayPinholes("   kernel   %s"); err != nil {
		return err
	}
	began := time.Now()
	if err := s.move(c, data, a, i); err != nil {
		return err
	}
	s.say("   done     in %v", time.Since(began).Round(10*time.Microsecond))
	if err := s.gone(ctx); err != nil {
		return err
	}
	s.say("   kernel   no pinhole any more")
	return c.Must(2, "QUIT")
}

// sayRewrite shows the line that the gateway changed, on both sides of it.
func (s *show) sayRewrite(a act, d *ftpc.Data) {
	inside := s.heard.line(a.mode)
	if d.Listen == nil {
		s.say("   server   %s", inside)
		s.say("   client   %s", d.Reply.Last())
		return
	}
	s.say("   client   %s", ftpc.Argument(a.mode, addrPortOf(d.Listen.Addr())))
	s.say("   server   %s", inside)
}

func (s *show) sayPinholes(format string) error {
	list, err := s.pinholes()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return errors.New("the kernel lists no pinhole")
	}
	for _, p := range list {
		s.say(format, p)
	}
	return nil
}

// gone waits until the kernel lists no pinhole: the reply that ends a transfer
// can overtake our look.
func (s *show) gone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		list, err := s.pinholes()
		if err != nil || len(list) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the pinhole is still there: %v", list[0])
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// move carries the act's data and compares what arrives.
func (s *show) move(c *ftpc.Client, d *ftpc.Data, a act, i int) error {
	switch {
	case a.upload:
		name := fmt.Sprintf("/upload-%d.bin", i+1)
		if err := c.Upload(d, a.verb+" "+name, s.file); err != nil {
			return err
		}
		got, err := s.files.Get(name)
		if err != nil {
			return err
		}
		return s.compare(got)
	case a.verb == "LIST":
		got, err := c.Download(d, a.verb)
		if err != nil {
			return err
		}
		if !bytes.Contains(got, []byte("hello.bin")) {
			return fmt.Errorf("the listing lacks hello.bin: %q", got)
		}
		s.say("   listing  %d lines, hello.bin among them", bytes.Count(got, []byte("\n")))
		return nil
	}
	got, err := c.Download(d, a.verb+" /hello.bin")
	if err != nil {
		return err
	}
	return s.compare(got)
}

func (s *show) compare(got []byte) error {
	want, have := sha256.Sum256(s.file), sha256.Sum256(got)
	if want != have {
		return fmt.Errorf("%d bytes arrived with SHA-256 %x, want %d with %x", len(got), have[:8], len(s.file), want[:8])
	}
	s.say("   data     %d bytes, SHA-256 %x… on both sides", len(got), have[:8])
	return nil
}

func indent(s string) string {
	return "    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ")
}
