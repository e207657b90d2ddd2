package labtest

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/debian"

	"golang.org/x/sys/unix"
)

func TestStoppedServerListensNoMore(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{})
	for _, name := range debian.Servers {
		s := StartServer(t, tree, l.Server, name, 21)
		s.Stop()
		_, err := l.Gateway.Dial(t.Context(), "tcp", netip.AddrPortFrom(lab.ServerV4, 21).String())
		if !errors.Is(err, unix.ECONNREFUSED) {
			t.Errorf("%s: dial after Stop: %v, want %v", name, err, unix.ECONNREFUSED)
		}
	}
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{})
	StartServer(t, tree, l.Server, debian.ProFTPD, 21)
	_, err := tree.StartServer(t.Context(), l.Server, debian.VSFTPD, t.TempDir(), 21, debian.ServerOptions{})
	if !errors.Is(err, unix.EADDRINUSE) {
		t.Errorf("start a second server on the port: %v, want %v", err, unix.EADDRINUSE)
	}
	_, err = tree.StartServer(t.Context(), l.Server, "wu-ftpd", t.TempDir(), 2121, debian.ServerOptions{})
	if err == nil || !strings.Contains(err.Error(), "there are vsftpd, proftpd, pureftpd") {
		t.Errorf("start a server that there is not: %v", err)
	}
}

func TestClientThatFailsIsAnError(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{Routed: true})
	StartServer(t, tree, l.Server, debian.VSFTPD, 21)
	for _, client := range debian.Clients {
		job := debian.Job{Client: client, Mode: debian.PASV, Server: netip.AddrPortFrom(lab.ServerV4, 21), Dir: t.TempDir()}
		if transcript, err := tree.Download(t.Context(), l.Client, job, "nothing"); err == nil {
			t.Errorf("%s got a file that is not there:\n%s", client, transcript)
		}
	}
}

func TestToolsSeeTheHostsNetwork(t *testing.T) {
	tree := Tree(t)
	l := New(t, lab.Options{})
	for _, args := range [][]string{{"add", "table", "inet", "probe"}, {"list", "ruleset"}} {
		out, err := tree.Command(t.Context(), l.Gateway, nil, "nft", args...).CombinedOutput()
		if err != nil {
			t.Fatalf("nft %v: %v\n%s", args, err, out)
		}
		if args[0] == "list" && string(out) != "table inet probe {\n}\n" {
			t.Errorf("ruleset %q, want the one table", out)
		}
	}
}
