package relay

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBytesAndEndsArrive(t *testing.T) {
	for name, upload := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) {
			everyKind(t, func(t *testing.T, r *rig) {
				from, to, side := r.server, r.client, Server
				if upload {
					from, to, side = to, from, Client
				}
				sent := content(9<<20 + 7) // more than is spliced at once
				go func() {
					if _, err := from.Write(sent); err != nil {
						t.Error(err)
					}
					from.finish(t)
				}()
				got, err := io.ReadAll(to)
				if err != nil || !bytes.Equal(got, sent) {
					t.Fatalf("%d of %d bytes arrive, %v", len(got), len(sent), err)
				}
				to.finish(t)
				if _, err := io.ReadAll(from); err != nil {
					t.Errorf("the other direction ended with %v", err)
				}
				r.wantEnd(side, nil)
				if n := r.relay.Carried(); n != int64(len(sent)) {
					t.Errorf("%d bytes carried, want %d", n, len(sent))
				}
			})
		})
	}
}

// A half that is closed says nothing about the other one.
func TestHalfClose(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		r.client.finish(t)
		if _, err := io.ReadAll(r.server); err != nil {
			t.Fatal(err)
		}
		if _, err := r.server.Write([]byte("late")); err != nil {
			t.Fatal(err)
		}
		r.server.finish(t)
		if got, err := io.ReadAll(r.client); err != nil || string(got) != "late" {
			t.Fatalf("the client reads %q, %v", got, err)
		}
		r.wantEnd(Server, nil)
	})
}

// TLS without close_notify was truncated: the other side must not take what
// has arrived for all.
func TestTruncation(t *testing.T) {
	for name, upload := range map[string]bool{"upload": true, "download": false} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, true, true)
			from, to, side := r.server, r.client, Server
			if upload {
				from, to, side = to, from, Client
			}
			if _, err := from.Write([]byte("half of i")); err != nil {
				t.Fatal(err)
			}
			_ = from.tcp.CloseWrite() // and no close_notify
			if got, err := io.ReadAll(to); err == nil {
				t.Fatalf("%q passed for all", got)
			}
			r.wantEnd(side, ErrTruncated)
		})
	}
}

// In clear, as with the kernel, a reset stays a reset.
func TestReset(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		if _, err := r.client.Write([]byte("half of i")); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r.server, make([]byte, 9)); err != nil {
			t.Fatal(err)
		}
		_ = r.client.tcp.SetLinger(0)
		_ = r.client.tcp.Close()
		if _, err := io.ReadAll(r.server); err == nil {
			t.Fatal("a reset arrives as an end in order")
		}
		r.wantEnd(Client, unix.ECONNRESET)
	})
}

// After the download's end clients close as they like. That breaks nothing.
func TestRudeEndAfterTheData(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		if _, err := r.server.Write([]byte("all of it")); err != nil {
			t.Fatal(err)
		}
		r.server.finish(t)
		if got, err := io.ReadAll(r.client); err != nil || string(got) != "all of it" {
			t.Fatalf("the client reads %q, %v", got, err)
		}
		_ = r.client.tcp.SetLinger(0)
		_ = r.client.tcp.Close()
		r.wantEnd(Server, nil)
	})
}

// A peer that leaves its side open is not waited for without end.
func TestSideLeftOpen(t *testing.T) {
	t.Parallel()
	r := newRig(t, true, true)
	r.carries(Server)
	r.server.finish(t)
	if _, err := io.ReadAll(r.client); err != nil {
		t.Fatal(err)
	}
	_ = r.client.tcp.SetDeadline(time.Now().Add(2 * lingers))
	select {
	case <-r.done:
	case <-time.After(2 * lingers):
		t.Fatal("the relay waits for a client that says nothing")
	}
	r.wantEnd(Server, nil)
}

// A client that closes its idle side at once still waits for its download. That
// side's end says nothing of the data, however the data ends.
func TestIdleSideEndsFirst(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		r.carries(Server)
		r.client.finish(t)
		if _, err := io.ReadAll(r.server); err != nil {
			t.Fatal(err)
		}
		_ = r.server.tcp.SetLinger(0)
		_ = r.server.tcp.Close() // and not one byte
		if _, err := io.ReadAll(r.client); err == nil {
			t.Error("what the server broke off ends in order")
		}
		r.wantEnd(Server, unix.ECONNRESET)
	})
}

// Nothing hurries a server whose client has nothing more to say.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, false, false)
	r.carries(Server)
	r.client.finish(t)
	_ = r.client.tcp.SetDeadline(time.Now().Add(3 * lingers))
	_ = r.server.tcp.SetDeadline(time.Now().Add(3 * lingers))
	time.AfterFunc(lingers+time.Second, func() {
		_, _ = r.server.Write([]byte("late"))
		_ = r.server.tcp.CloseWrite()
	})
	if got, err := io.ReadAll(r.client); err != nil || string(got) != "late" {
		t.Fatalf("the client reads %q, %v", got, err)
	}
	r.wantEnd(Server, nil)
}

func TestCut(t *testing.T) {
	everyKind(t, func(t *testing.T, r *rig) {
		r.carries(Server)
		End{TCP: r.halves[0]}.Cut()
		End{TCP: r.halves[1]}.Cut()
		if _, err := io.ReadAll(r.server); err == nil {
			t.Error("the server sees an end in order")
		}
		r.wantEnd(Server, net.ErrClosed)
	})
}
