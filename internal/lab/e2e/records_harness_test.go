package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
)

// line is an event of audit.json, with the fields that a test looks at. Those
// that may be missing are pointers.
type line struct {
	Time    time.Time
	Event   string
	Session uint64
	Service string
	Client  netip.AddrPort
	Backend netip.AddrPort
	User    string

	ID, Verb, Path, Mode, Direction string
	ASCII, TLS, Relayed             bool
	ClientData                      pair `json:"client_data"`
	ServerData                      pair `json:"server_data"`
	Bytes                           *uint64
	Source                          string `json:"bytes_source"`
	Started                         time.Time
	Connect                         *float64 `json:"connect_ms"`
	Took                            float64  `json:"duration_ms"`
	Replies                         []int
	Outcome, Cause, Detail          string

	Result              string
	Transfers, Failures int
	ToClient            uint64 `json:"bytes_to_client"`
	ToServer            uint64 `json:"bytes_to_server"`

	UID    *int
	Action string
	Reason string
	Events int // of "dropped"
}

// pair is a data connection: who dialled, and whom.
type pair struct{ Src, Dst netip.AddrPort }

// records is where a daemon writes its audit log.
type records struct{ json, xferlog string }

func newRecords(t testing.TB) records {
	dir := t.TempDir()
	return records{filepath.Join(dir, "audit.json"), filepath.Join(dir, "xferlog")}
}

// config is the [audit] of it, with more keys.
func (r records) config(keys ...string) string {
	return fmt.Sprintf("[audit]\njson = %q\nxferlog = %q\n%s\n", r.json, r.xferlog, strings.Join(keys, "\n"))
}

// audited reads whole lines of events of a kind, from files in their order.
func audited(t testing.TB, event string, files ...string) (all []line) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for one := range bytes.Lines(text) {
			if !bytes.HasSuffix(one, []byte("\n")) {
				break // it is being written
			}
			var l line
			if err := json.Unmarshal(one, &l); err != nil {
				t.Fatalf("%s: %v: %q", file, err, one)
			}
			if l.Event == event {
				l.Path, l.User = plain(l.Path), plain(l.User)
				all = append(all, l)
			}
		}
	}
	return all
}

var spelled = regexp.MustCompile(`\\x[0-9a-f]{2}|\\\\`)

// plain is the bytes that a text of the log stands for.
func plain(text string) string {
	return spelled.ReplaceAllStringFunc(text, func(s string) string {
		if s == `\\` {
			return `\`
		}
		b, _ := strconv.ParseUint(s[2:], 16, 8)
		return string([]byte{byte(b)})
	})
}

// entry is a line of an xferlog: xferlog(5).
type entry struct {
	seconds          int
	host             string
	bytes            uint64
	name             string
	ascii, up, whole bool
	user             string
}

// entries reads xferlogs.
func entries(t testing.TB, files ...string) (all []entry) {
	t.Helper()
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for one := range strings.Lines(string(text)) {
			f := strings.Fields(one)
			if len(f) != 18 {
				t.Fatalf("%s: %d fields, want 18: %q", file, len(f), one)
			}
			if _, err := time.Parse(time.ANSIC, strings.Join(f[:5], " ")); err != nil {
				t.Errorf("%s: %v", file, err)
			}
			seconds, err := strconv.Atoi(f[5])
			n, numErr := strconv.ParseUint(f[7], 10, 64)
			if err != nil || numErr != nil || f[10] != "_" || f[14] != "ftp" || f[15] != "0" || f[16] != "*" {
				t.Errorf("%s: %q", file, one)
			}
			all = append(all, entry{seconds, f[6], n, f[8], f[9] == "a", f[11] == "i", f[17] == "c", f[13]})
		}
	}
	return all
}

// onlooker is a network that remembers the connections made in it, and who made
// them.
type onlooker struct {
	*lab.Host
	others *sync.Map // ports on which others listened that must not be used again; nil: all may be
	mu     sync.Mutex
	seen   []pair
}

var _ ftpc.Network = (*onlooker)(nil)

func (w *onlooker) saw(p pair) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, p)
}

// last is the latest connection.
func (w *onlooker) last() pair {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[len(w.seen)-1]
}

func (w *onlooker) all() []pair {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

func (w *onlooker) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	return w.DialFrom(ctx, network, nil, addr)
}

func (w *onlooker) DialFrom(ctx context.Context, network string, from net.Addr, addr string) (net.Conn, error) {
	c, err := w.Host.DialFrom(ctx, network, from, addr)
	if err == nil {
		w.saw(pair{addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())})
	}
	return c, err
}

// Listen has a port that nobody had before, where others listen too: the kernel
// gives a port to a listener that still has a connection of another's, and the
// gateway would refuse it as busy.
func (w *onlooker) Listen(network, addr string) (net.Listener, error) {
	for {
		l, err := w.Host.Listen(network, addr)
		if err != nil {
			return nil, err
		}
		if w.others != nil {
			if _, taken := w.others.LoadOrStore(addrPort(l.Addr()).Port(), true); taken {
				defer l.Close() // until there is another one
				continue
			}
		}
		return watched{l.(*net.TCPListener), w}, nil
	}
}

// watched is a listener whose connections are remembered.
type watched struct {
	*net.TCPListener
	by *onlooker
}

func (l watched) Accept() (net.Conn, error) {
	c, err := l.TCPListener.Accept()
	if err == nil {
		l.by.saw(pair{addrPort(c.RemoteAddr()), addrPort(c.LocalAddr())})
	}
	return c, err
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
