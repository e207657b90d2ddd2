package e2e

import (
	"context"
	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"net"
	"sync"
	"testing"
	"time"
)

// startFTPD puts the small FTP server inside and returns its files.
func startFTPD(t testing.TB, l *lab.Lab) *ftpd.Tree {
	t.Helper()
	files := ftpd.NewTree()
	for name, size := range map[string]int64{"/zero-1K": 1 << 10, "/zero-64M": 64 << 20, "/zero-1G": 1 << 30} {
		if err := files.PutZeros(name, size); err != nil {
			t.Fatal(err)
		}
	}
	runServer(t, l, &ftpd.Server{Files: files})
	return files
}

// runServer puts a server inside, at the usual address.
func runServer(t testing.TB, l *lab.Lab, server *ftpd.Server) {
	t.Helper()
	if server.Listen == nil {
		server.Listen, server.Dial = l.Server.Listen, l.Server.DialFrom
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, at := range []string{"10.0.0.5:21", "[fd00:10::5]:21"} {
		listener, err := l.Server.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		running.Go(func() {
			if err := server.Serve(ctx, listener); err != nil {
				t.Errorf("ftpd: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

// login is a client that has logged in through the gateway.
func login(t testing.TB, n ftpc.Network, at string) *ftpc.Client {
	t.Helper()
	c, err := ftpc.Dial(n, at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.Login(); err != nil {
		t.Fatal(err)
	}
	return c
}

func setUp(t testing.TB, c *ftpc.Client, mode string) *ftpc.Data {
	t.Helper()
	d, err := c.SetUp(mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// dial reports whether a data connection is admitted. One that is dropped
// rather than refused counts as not admitted after a second.
func dial(n ftpc.Network, d *ftpc.Data) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := n.Dial(ctx, "tcp", d.At.String())
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// eventually waits for a condition, half a minute at most.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("still not true: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// impatient dials for a second at most, for what is expected to be dropped.
type impatient struct{ ftpc.Network }

func (i impatient) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return i.Network.Dial(ctx, network, addr)
}
