// Package browser runs a headless Chromium from Debian's packages in a host of the lab, for tests of web pages. What drives
// it is up to the test: Endpoint is where it speaks the DevTools protocol.
//
//	b, err := browser.Start(ctx, l.Client)
//	defer b.Stop()
//	ctx, cancel := remote.NewAllocator(ctx, b.Endpoint, remote.NoModifyURL)
//
// The browser sees the host's network and no other, so it cannot reach what its makers had in mind.
package browser

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
)

// Browser is a Chromium that runs.
type Browser struct {
	Endpoint string // the DevTools protocol, on a loopback address of this process's own network

	cmd    *lab.Cmd
	ln     net.Listener
	cancel context.CancelFunc
	tasks  sync.WaitGroup // goroutines that pass on what goes to and from the browser
}

// CacheDir returns the folder with the unpacked browser.
func CacheDir() (string, error) {
	dir, err := debian.CacheDir()
	return filepath.Join(filepath.Dir(dir), "chromium"), err
}

// Fetch unpacks the browser into its folder.
func Fetch(ctx context.Context, progress io.Writer) error {
	dir, err := CacheDir()
	if err != nil {
		return err
	}
	_, err = debian.FetchSet(ctx, debian.Browser, dir, progress)
	return err
}

// flags keep it in memory, and from looking for updates and names nobody asked about.
var flags = []string{
	"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
	"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
	"--user-data-dir=/tmp/profile", "--remote-debugging-address=127.0.0.1", "--remote-debugging-port=0", "about:blank",
}

// startTime is how long a slow machine may take to start it.
const startTime = time.Minute

// Start starts a browser with an empty profile. It ends with ctx, Stop or its host.
func Start(ctx context.Context, h *lab.Host) (*Browser, error) {
	dir, err := CacheDir()
	if err != nil {
		return nil, err
	}
	tree, err := debian.Open(dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	b := &Browser{cancel: cancel}
	b.cmd = tree.Command(ctx, h, nil, "/usr/lib/chromium/chromium-headless-shell", flags...)
	b.cmd.Forks = true
	if err := b.start(ctx, h); err != nil {
		b.Stop()
		return nil, fmt.Errorf("start Chromium: %w", err)
	}
	return b, nil
}

func (b *Browser) start(ctx context.Context, h *lab.Host) error {
	said, err := b.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := b.cmd.Start(); err != nil {
		return err
	}
	inside, err := awaitEndpoint(said)
	if err != nil {
		return err
	}
	b.tasks.Go(func() { _, _ = io.Copy(io.Discard, said) }) // it must not wait for us to read
	if b.ln, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return err
	}
	addr := inside.Host
	inside.Host = b.ln.Addr().String()
	b.Endpoint = inside.String()
	b.tasks.Go(func() { b.passOn(ctx, h, addr) })
	return nil
}

var listening = regexp.MustCompile(`^DevTools listening on (ws://\S+)`)

// awaitEndpoint reads what the browser says until it says where it listens.
func awaitEndpoint(said io.ReadCloser) (*url.URL, error) {
	late := time.AfterFunc(startTime, func() { said.Close() })
	defer late.Stop()
	var complaints []string
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			return url.Parse(m[1])
		}
		complaints = append(complaints, lines.Text())
	}
	return nil, errors.New("it does not say where it listens:\n" + strings.Join(complaints, "\n"))
}

// passOn joins connections from outside to the browser, which is in another network. It ends with the listener.
func (b *Browser) passOn(ctx context.Context, h *lab.Host, addr string) {
	for {
		outside, err := b.ln.Accept()
		if err != nil {
			return
		}
		inside, err := h.Dial(ctx, "tcp", addr)
		if err != nil {
			outside.Close()
			continue
		}
		both := func() { outside.Close(); inside.Close() }
		stop := context.AfterFunc(ctx, both)
		b.tasks.Go(func() { defer both(); _, _ = io.Copy(inside, outside) })
		b.tasks.Go(func() { defer stop(); defer both(); _, _ = io.Copy(outside, inside) })
	}
}

// Stop ends the browser.
func (b *Browser) Stop() {
	b.cancel()
	if b.ln != nil {
		b.ln.Close()
	}
	b.cmd.Stop()
	b.tasks.Wait()
}
