package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// pseudoTerminal opens a terminal of a size, and what reads its screen.
func pseudoTerminal(t *testing.T, columns, rows uint16) (screen, terminal *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { screen.Close() })
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	if err := unix.IoctlSetWinsize(int(terminal.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Col: columns, Row: rows}); err != nil {
		t.Fatal(err)
	}
	return screen, terminal
}

func TestTablesAreCutToTheTerminal(t *testing.T) {
	socket := serve(t, example())
	screen, terminal := pseudoTerminal(t, 72, 20)
	var stderr bytes.Buffer
	if status := execute([]string{"failures", "--socket", socket}, terminal, &stderr); status != exitDone {
		t.Fatal(stderr.String())
	}
	terminal.Close()
	text, _ := io.ReadAll(screen) // ends with EIO when the terminal is closed
	lines := strings.Split(strings.TrimSpace(string(text)), "\r\n")
	if len(lines) != 3 {
		t.Fatalf("got %d lines: %q", len(lines), text)
	}
	for _, l := range lines {
		if n := utf8.RuneCountInString(l); n > 72 {
			t.Errorf("%d columns: %q", n, l)
		}
	}
	if !strings.HasSuffix(lines[1], "…") {
		t.Errorf("nothing says that it was cut: %q", lines[1])
	}
}

func TestWatchDrawsOverTheScreen(t *testing.T) {
	socket := serve(t, example())
	_, terminal := pseudoTerminal(t, 100, 7)
	s := (&client{socket: socket, watching: true}).screen(terminal)
	if s.Head != "\x1b[H\x1b[2J" || s.Width != 100 || s.Height != 7 {
		t.Errorf("got %+v", s)
	}
}
