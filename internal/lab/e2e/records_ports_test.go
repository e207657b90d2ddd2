package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/ftpc"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"
)

// samePort is a client's network in which all connections that it makes or
// awaits for data have one port.
type samePort struct {
	*lab.Host
	port int
}

// Listen does so as soon as it can: a listener that is closed lives on in
// processes that other tests are just starting, until these are programs.
func (s samePort) Listen(string, string) (ln net.Listener, err error) {
	for deadline := time.Now().Add(10 * time.Second); ; {
		err = s.Do(func() error {
			ln, err = ftpd.Listen(context.Background(), fmt.Sprintf("198.51.100.7:%d", s.port))
			return err
		})
		if !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return ln, err
		}
	}
}

func (s samePort) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	if strings.HasSuffix(addr, ":21") {
		return s.Host.Dial(ctx, network, addr)
	}
	return s.DialFrom(ctx, network, &net.TCPAddr{IP: lab.ClientV4.AsSlice(), Port: s.port}, addr)
}

// A client that listens on the same port for each active transfer has what the
// last one left in conntrack cleared away: not before it was counted.
func TestRecordsOfAPortUsedAgain(t *testing.T) {
	t.Parallel()
	const transfers = 50
	l := labtest.New(t, lab.Options{})
	files := startFTPD(t, l)
	r := newRecords(t)
	startGateway(t, l, "", r.config())
	c := login(t, samePort{l.Client, 40_000}, gateway4)
	for i := range transfers {
		name := fmt.Sprintf("/%d", i)
		if err := files.PutZeros(name, int64(1000+i)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Download(setUp(t, c, "PORT"), "RETR "+name); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all are recorded", func() bool { return len(audited(t, "transfer", r.json)) == transfers })
	for i, one := range audited(t, "transfer", r.json) {
		if one.Bytes == nil || *one.Bytes < uint64(1000+i) || one.Path != fmt.Sprintf("/%d", i) {
			t.Errorf("%+v", one)
		}
	}
}

// A client may dial two data ports from one port of its own, and the relay has
// one listener for both: the kernel shows it another port, which is none.
func TestRecordsOfTwoConnectionsFromOnePort(t *testing.T) {
	t.Parallel()
	l := labtest.New(t, lab.Options{})
	startFTPD(t, l)
	r := newRecords(t)
	g := startGateway(t, l, `data = "relay"`, r.config())
	n := samePort{l.Client, 40_000}
	var conns []net.Conn
	var clients []*ftpc.Client
	for range 2 {
		c := login(t, n, gateway4)
		d := setUp(t, c, "PASV")
		if err := c.Send("RETR /zero-64M"); err != nil {
			t.Fatal(err)
		}
		conn, err := d.Open()
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns, clients = append(conns, conn), append(clients, c)
	}
	eventually(t, "both are carried at once", func() bool { return g.metric(`ftpgate_relays{service="files"}`) == "2" })
	var want []pair
	for i, conn := range conns {
		want = append(want, pair{addrPort(conn.LocalAddr()), addrPort(conn.RemoteAddr())})
		if _, err := io.Copy(io.Discard, conn); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		for _, class := range []int{1, 2} {
			if _, err := clients[i].Expect(class); err != nil {
				t.Error(err)
			}
		}
	}
	eventually(t, "both are recorded", func() bool { return len(audited(t, "transfer", r.json)) == 2 })
	for _, one := range audited(t, "transfer", r.json) {
		if !slices.Contains(want, one.ClientData) || one.Bytes == nil || *one.Bytes != 64<<20 {
			t.Errorf("the record is %+v, want one of %v", one, want)
		}
		want = slices.DeleteFunc(want, func(p pair) bool { return p == one.ClientData })
	}
}
