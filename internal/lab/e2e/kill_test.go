package e2e

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/labtest"
)

// killFile is big enough that no transfer of it ends before the daemon is dead.
const killFile = 768 << 20

// Promise 6: the bytes of a running transfer go on after kill -9. The control
// connection is lost; what a server makes of that is its own decision, and the
// test writes down what each does. docs/operation.md has the table.
func TestKillDuringTransfer(t *testing.T) {
	tree := labtest.Tree(t)
	var table strings.Builder
	for _, name := range debian.Servers {
		l := labtest.New(t, lab.Options{})
		server := labtest.StartServer(t, tree, l.Server, name, 21)
		sparseFile(t, filepath.Join(server.Root, "big"))
		for _, mode := range []string{"PASV", "PORT"} {
			g := startGateway(t, l, "", "")
			c := login(t, l.Client, gateway4)
			if err := c.Must(2, "TYPE I"); err != nil {
				t.Fatal(err)
			}
			d := setUp(t, c, mode)
			if err := c.Send("RETR big"); err != nil {
				t.Fatal(err)
			}
			conn, err := d.Open()
			if err != nil {
				t.Fatal(err)
			}
			before, err := io.CopyN(io.Discard, conn, 16<<20)
			if err != nil {
				t.Fatal(err)
			}
			g.kill()
			after, err := io.Copy(io.Discard, conn)
			conn.Close()
			if name != debian.PureFTPd && before+after != killFile { // which gives up by itself
				t.Errorf("%s, %s: only %d bytes arrived: %v", name, mode, before+after, err)
			}
			fmt.Fprintf(&table, "%-9s %s: %s\n", name, mode, verdict(before+after, err))
		}
	}
	t.Logf("what servers do when the daemon is killed during a download:\n%s", &table)
}

// What real clients make of it: the file is whole, and they say that the
// control connection is lost.
func TestKillDuringTransferOfRealClients(t *testing.T) {
	tree := labtest.Tree(t)
	var table strings.Builder
	for _, client := range debian.Clients {
		l := labtest.New(t, lab.Options{})
		server := labtest.StartServer(t, tree, l.Server, debian.VSFTPD, 21)
		sparseFile(t, filepath.Join(server.Root, "big"))
		g := startGateway(t, l, "", "")
		job := debian.Job{Client: client, Mode: debian.PASV, Server: netip.AddrPortFrom(lab.WanV4, 21), Dir: t.TempDir()}
		ended := make(chan error, 1)
		go func() {
			_, err := tree.Download(t.Context(), l.Client, job, "big")
			ended <- err
		}()
		eventually(t, "the transfer runs", func() bool {
			for _, f := range g.flows() {
				if f.Bytes[1] > 16<<20 {
					return true
				}
			}
			return false
		})
		g.kill()
		err := <-ended
		got := int64(0)
		if info, statErr := os.Stat(filepath.Join(job.Dir, "big")); statErr == nil {
			got = info.Size()
		}
		if client != "lftp" && got != killFile { // which gives up by itself
			t.Errorf("%s: only %d bytes arrived", client, got)
		}
		fmt.Fprintf(&table, "%-9s %s; it reports %v\n", client, verdict(got, nil), oneLine(err))
	}
	t.Logf("what clients do when the daemon is killed during a download from vsftpd:\n%s", &table)
}

func sparseFile(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(killFile), f.Chmod(0o644), f.Close()); err != nil {
		t.Fatal(err)
	}
}

func verdict(got int64, err error) string {
	switch {
	case got == killFile:
		return "the whole file arrives"
	case err != nil:
		return fmt.Sprintf("breaks off after %d MiB: %v", got>>20, err)
	}
	return fmt.Sprintf("ends after %d MiB", got>>20)
}

func oneLine(err error) string {
	if err == nil {
		return "success"
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return first
}
