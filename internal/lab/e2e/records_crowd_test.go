package e2e

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/ftpd"
	"ftpgate/internal/lab/labtest"

	"golang.org/x/sys/unix"
)

// A thousand sessions that transfer at once lose no event, and no record.
func TestRecordsOfACrowd(t *testing.T) {
	g, transfers := crowd(t, func(*gateway) {})
	if n := g.metric("ftpgate_conntrack_resyncs_total"); n != "0" {
		t.Errorf("events were lost %s times, with %d transfers", n, transfers)
	}
}

// Where events are lost all the same, the log says so, and the records have
// what they have otherwise.
func TestRecordsOfACrowdWithoutEvents(t *testing.T) {
	g, transfers := crowd(t, func(g *gateway) { shrink(t, g.cmd.Process.Pid) })
	n := g.metric("ftpgate_conntrack_resyncs_total")
	t.Logf("events were lost %s times, with %d transfers", n, transfers)
	if n == "0" || !strings.Contains(g.log.String(), "conntrack events were lost") {
		t.Errorf("events were lost %s times; it is not in the log", n)
	}
}

// crowd has a thousand sessions transfer at once, again and again, and compares
// the records with what was done.
func crowd(t *testing.T, before func(*gateway)) (g *gateway, transfers int) {
	t.Helper()
	const sessions, least = 1000, 5000
	l := labtest.New(t, lab.Options{})
	files := ftpd.NewTree()
	if err := files.PutZeros(load.SmallName, load.SmallSize); err != nil {
		t.Fatal(err)
	}
	runServer(t, l, &ftpd.Server{Files: files})
	r := newRecords(t)
	g = startGateway(t, l, "", r.config()+unbounded)
	before(g)
	agent, err := load.StartAgent(t.Context(), l.Client, "/proc/self/exe", "load")
	if err != nil {
		t.Fatal(err)
	}
	for transfers < least {
		o, err := agent.Do(load.Job{Do: load.Transfers, Server: netip.MustParseAddrPort(gateway4), Sessions: sessions, Seconds: 1})
		if err != nil {
			t.Fatal(err)
		}
		transfers += o.Count
	}
	eventually(t, "all of them are recorded", func() bool { return len(audited(t, "transfer", r.json)) >= transfers })
	ids, wrong := map[string]bool{}, 0
	for _, one := range audited(t, "transfer", r.json) {
		ids[one.ID] = true
		if one.Bytes == nil || *one.Bytes != load.SmallSize || one.Outcome != "done" || one.Connect == nil || !one.ServerData.Dst.IsValid() {
			if wrong++; wrong < 5 {
				t.Errorf("%+v", one)
			}
		}
	}
	if len(ids) != transfers || wrong > 0 {
		t.Errorf("%d transfers are recorded, %d of them wrongly, want %d", len(ids), wrong, transfers)
	}
	if n := g.metric("ftpgate_audit_dropped_total"); n != "0" {
		t.Errorf("%s events are not in the files", n)
	}
	return g, transfers
}

// shrink leaves the socket on which a daemon hears of connections hardly any
// room, so that most of what happens at once is lost.
func shrink(t *testing.T, pid int) {
	t.Helper()
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(process)
	all, err := filepath.Glob("/proc/" + strconv.Itoa(pid) + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range all {
		if link, _ := os.Readlink(name); !strings.HasPrefix(link, "socket:") {
			continue
		}
		number, err := strconv.Atoi(filepath.Base(name))
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdGetfd(process, number, 0)
		if errors.Is(err, unix.EBADF) {
			continue // it has been closed
		}
		if err != nil {
			t.Fatal(err)
		}
		if listens(fd) {
			found++
			err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 2048)
		}
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
	}
	if found != 1 {
		t.Fatalf("%d sockets of the daemon hear of new connections, want 1", found)
	}
}

// listens reports whether a socket is of netlink and gets conntrack's news.
func listens(fd int) bool {
	protocol, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PROTOCOL)
	if err != nil || protocol != unix.NETLINK_NETFILTER {
		return false
	}
	own, err := unix.Getsockname(fd)
	at, ok := own.(*unix.SockaddrNetlink)
	return err == nil && ok && at.Groups&(1<<(unix.NFNLGRP_CONNTRACK_NEW-1)) != 0
}
