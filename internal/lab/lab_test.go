package lab_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"

	"golang.org/x/sys/unix"
)

// The test binary plays other parts when told so.
func TestMain(m *testing.M) {
	switch os.Getenv("LAB_TEST_PART") {
	case "holder":
		os.Exit(hold())
	case "ordinary user":
		os.Exit(reexec())
	}
	os.Exit(m.Run())
}

// exchange dials from one host to another and reports what the listener saw: the dialler's address.
func exchange(t *testing.T, from, to *lab.Host, addr netip.Addr) netip.Addr {
	t.Helper()
	ln, err := to.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	peer := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			peer <- err.Error()
			return
		}
		defer c.Close()
		peer <- c.RemoteAddr().String()
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", ln.Addr().String())
	if err != nil {
		t.Fatalf("%s to %s: %v", from.Name, to.Name, err)
	}
	defer c.Close()
	got, err := netip.ParseAddrPort(<-peer)
	if err != nil {
		t.Fatal(err)
	}
	return got.Addr()
}

func TestNeighboursReachEachOther(t *testing.T) {
	l := labtest.New(t, lab.Options{SecondClient: true})
	for _, tt := range []struct {
		from, to *lab.Host
		src, dst netip.Addr
	}{
		{l.Client, l.Gateway, lab.ClientV4, lab.WanV4},
		{l.Client, l.Gateway, lab.ClientV6, lab.WanV6},
		{l.Client2, l.Gateway, lab.Client2V4, lab.WanV4},
		{l.Client2, l.Gateway, lab.Client2V6, lab.WanV6},
		{l.Client, l.Client2, lab.ClientV4, lab.Client2V4},
		{l.Gateway, l.Client, lab.WanV4, lab.ClientV4},
		{l.Gateway, l.Server, lab.LanV4, lab.ServerV4},
		{l.Gateway, l.Server, lab.LanV6, lab.ServerV6},
		{l.Server, l.Gateway, lab.ServerV4, lab.LanV4},
	} {
		t.Run(fmt.Sprintf("%v to %v", tt.src, tt.dst), func(t *testing.T) {
			if got := exchange(t, tt.from, tt.to, tt.dst); got != tt.src {
				t.Errorf("the listener saw %v, want %v", got, tt.src)
			}
		})
	}
}

func TestClientKnowsNothingOfTheInside(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	for _, addr := range []netip.Addr{lab.ServerV4, lab.ServerV6} {
		_, err := l.Client.Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 21).String())
		if !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("dial %v: %v, want %v", addr, err, unix.ENETUNREACH)
		}
	}
}

func TestRoutedClientSeesTheServer(t *testing.T) {
	l := labtest.New(t, lab.Options{Routed: true})
	for src, dst := range map[netip.Addr]netip.Addr{lab.ClientV4: lab.ServerV4, lab.ClientV6: lab.ServerV6} {
		if got := exchange(t, l.Client, l.Server, dst); got != src {
			t.Errorf("the server saw %v, want %v", got, src)
		}
	}
}

func TestSecondHostInside(t *testing.T) {
	l := labtest.New(t, lab.Options{SecondServer: true})
	for _, tt := range []struct {
		from, to *lab.Host
		src, dst netip.Addr
	}{
		{l.Server2, l.Server, lab.Server2V4, lab.ServerV4},
		{l.Server2, l.Gateway, lab.Server2V6, lab.LanV6},
		{l.Gateway, l.Server2, lab.LanV4, lab.Server2V4},
		{l.Server, l.Gateway, lab.ServerV4, lab.WanV4}, // by the default route
	} {
		if got := exchange(t, tt.from, tt.to, tt.dst); got != tt.src {
			t.Errorf("%v to %v: the listener saw %v", tt.src, tt.dst, got)
		}
	}
}

// The client reaches the second gateway, and what is outside knows nothing of the way back.
func TestClientBehindASecondGateway(t *testing.T) {
	l := labtest.New(t, lab.Options{SecondGateway: true, SecondServer: true, SecondClient: true})
	for _, tt := range []struct {
		from, to *lab.Host
		src, dst netip.Addr
	}{
		{l.Client, l.Gateway2, lab.BehindV4, lab.Wan2V4},
		{l.Client, l.Gateway2, lab.BehindV6, lab.Wan2V6},
		{l.Gateway2, l.Gateway, lab.Wan2V4, lab.WanV4},
		{l.Gateway2, l.Gateway, lab.Wan2V6, lab.WanV6},
		{l.Gateway2, l.Client2, lab.Wan2V4, lab.Client2V4},
	} {
		if got := exchange(t, tt.from, tt.to, tt.dst); got != tt.src {
			t.Errorf("%v to %v: the listener saw %v", tt.src, tt.dst, got)
		}
	}
	for _, addr := range []netip.Addr{lab.BehindV4, lab.BehindV6} {
		_, err := l.Gateway.Dial(t.Context(), "tcp", netip.AddrPortFrom(addr, 21).String())
		if !errors.Is(err, unix.ENETUNREACH) {
			t.Errorf("dial %v from the first gateway: %v, want %v", addr, err, unix.ENETUNREACH)
		}
	}
}

func TestLabWithoutIPv6(t *testing.T) {
	l := labtest.New(t, lab.Options{NoIPv6: true})
	exchange(t, l.Client, l.Gateway, lab.WanV4)
	if _, err := l.Gateway.Listen("tcp", netip.AddrPortFrom(lab.WanV6, 0).String()); !errors.Is(err, unix.EADDRNOTAVAIL) {
		t.Errorf("listen on %v: %v, want %v", lab.WanV6, err, unix.EADDRNOTAVAIL)
	}
}

func TestDoComesBack(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	namespace := func() string {
		t.Helper()
		link, err := os.Readlink("/proc/thread-self/ns/net")
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	home := namespace()
	var inside, nested, after string
	err := l.Client.Do(func() error {
		inside = namespace()
		err := l.Server.Do(func() error { nested = namespace(); return nil })
		after = namespace()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if inside == home || nested == home || inside == nested {
		t.Errorf("home %s, client %s, server %s: want three namespaces", home, inside, nested)
	}
	if after != inside || namespace() != home {
		t.Errorf("after the nested call in %s, want %s; at the end in %s, want %s", after, inside, namespace(), home)
	}
}

func TestCommandRunsInItsHostAndReportsItsStatus(t *testing.T) {
	l := labtest.New(t, lab.Options{})
	for _, forks := range []bool{false, true} {
		cmd := l.Server.Command(t.Context(), "sh", "-c", "cat /proc/net/fib_trie; exit 3")
		cmd.Forks = forks
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok || exit.ExitCode() != 3 {
			t.Errorf("forks %v: %v, want exit status 3", forks, err)
		}
		if !strings.Contains(string(out), lab.ServerV4.String()) || strings.Contains(string(out), lab.ClientV4.String()) {
			t.Errorf("forks %v: not the server's addresses:\n%s", forks, out)
		}
	}
}
