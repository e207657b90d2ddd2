package e2e

import (
	"ftpgate/internal/lab/ftpc"
	"io"
	"syscall"
	"testing"
)

// SIGTERM stops accepting, lets a running transfer end, closes what is open
// and leaves the table, empty.
func TestTerminate(t *testing.T) {
	bothOwners(t, func(t *testing.T, table string) {
		l := newLab(t)
		startFTPD(t, l)
		g := startGateway(t, l, "", table)
		idle := login(t, l.Client, gateway4)
		setUp(t, idle, "PASV")
		busy := login(t, l.Client, gateway4)
		d := setUp(t, busy, "PASV")
		if err := busy.Send("RETR /zero-64M"); err != nil {
			t.Fatal(err)
		}
		conn, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := busy.Expect(1); err != nil {
			t.Fatal(err)
		}
		g.signal(syscall.SIGTERM)
		if r, err := idle.Read(); err != nil || r.Code != 421 {
			t.Errorf("the idle session got %v, %v, want 421", r, err)
		}
		eventually(t, "new connections are refused", func() bool {
			c, err := ftpc.Dial(l.Client, gateway4)
			if err == nil {
				c.Close()
			}
			return err != nil
		})
		n, err := io.Copy(io.Discard, conn)
		if err != nil || n != 64<<20 {
			t.Errorf("the running transfer ended after %d bytes: %v", n, err)
		}
		if _, err := busy.Expect(2); err != nil {
			t.Errorf("the running transfer: %v", err)
		}
		if err := g.cmd.Wait(); err != nil {
			t.Errorf("the daemon's end: %v", err)
		}
		if list := g.pinholes(); len(list) != 0 {
			t.Errorf("left open: %v", list)
		}
	})
}
