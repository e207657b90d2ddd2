package nft_test

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/labtest"
	"ftpgate/nft"
)

// tryCloseOrphans closes the orphans of the table of the default name.
func (s *scene) tryCloseOrphans() (n int, err error) {
	err = errors.Join(s.Gateway.Do(func() error {
		n, err = nft.CloseOrphans("")
		return nil
	}), err)
	return n, err
}

// wantHolder checks that an error names a process running this program.
func (s *scene) wantHolder(err error, pid int) {
	s.Helper()
	comm, readErr := os.ReadFile("/proc/self/comm")
	if readErr != nil {
		s.Fatal(readErr)
	}
	owned, ok := errors.AsType[*nft.OwnedError](err)
	if !ok || owned.Table != nft.DefaultName || owned.PID != pid || owned.Program != strings.TrimSpace(string(comm)) {
		s.Errorf("%v: want table %s to belong to %s, pid %d", err, nft.DefaultName, comm, pid)
	}
}

func TestHeldByAnotherProcess(t *testing.T) {
	eachKernel(t, func(s *scene) {
		ln := s.listen(s.Server, v4.servers)
		p := crashed(addrOf(ln.Addr()))
		cmd := s.startOther(p.To)
		_, err := s.tryOpen(nft.Config{})
		s.wantHolder(err, cmd.Process.Pid)
		_, err = s.tryCloseOrphans()
		s.wantHolder(err, cmd.Process.Pid)
		s.pass(s.Client, p.At, ln) // nobody touched its pinholes

		s.open(nft.Config{Name: "second"}) // another table is free
		cmd.Process.Kill()
		cmd.Wait()
		if n, err := s.tryCloseOrphans(); err != nil {
			s.Errorf("closed %d pinholes of a dead process: %v", n, err)
		}
		s.open(nft.Config{})
	})
}

func TestHeldUntilReleased(t *testing.T) {
	eachKernel(t, func(s *scene) {
		for name, end := range map[string]func(*nft.Table) error{
			"released": (*nft.Table).Release,
			"removed":  (*nft.Table).Remove,
		} {
			for _, table := range []string{"", strings.Repeat("long", 40)} {
				cfg := nft.Config{Name: table}
				first := s.open(cfg)
				_, err := s.tryOpen(cfg)
				if owned, ok := errors.AsType[*nft.OwnedError](err); !ok || owned.PID != os.Getpid() {
					s.Errorf("%v: want the table to belong to us, pid %d", err, os.Getpid())
				}
				if err := end(first); err != nil {
					s.Fatal(err)
				}
				second, err := s.tryOpen(cfg)
				if err != nil {
					s.Fatalf("%s, but: %v", name, err)
				}
				if err := second.Remove(); err != nil {
					s.Error(err)
				}
			}
		}
	})
}

// A table is locked in its network namespace, not on the whole machine.
func TestHeldInAnotherNamespace(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.open(nft.Config{})
		other := &scene{labtest.New(t, lab.Options{}), s.T, s.without}
		other.open(nft.Config{})
	})
}

// Abstract sockets are free for all: nobody may keep the gateway down by taking
// the name of its lock.
func TestSquattedLock(t *testing.T) {
	squat := map[string]func() (hold any, err error){
		"another user listens": func() (any, error) {
			if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, 65534, 65534, 65534); errno != 0 {
				return nil, errno // of this thread alone
			}
			return net.Listen("unix", "@ftpgate/nft/ftpgate")
		},
		"nobody listens": func() (any, error) {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return nil, err
			}
			held := os.NewFile(uintptr(fd), "squatter")
			return held, unix.Bind(fd, &unix.SockaddrUnix{Name: "@ftpgate/nft/ftpgate"})
		},
	}
	warnings := map[string]string{"another user listens": "uid=65534", "nobody listens": "nobody answers"}
	for name, take := range squat {
		t.Run(name, func(t *testing.T) {
			s := &scene{labtest.New(t, lab.Options{}), t, nft.Features{Owner: true}}
			var held any
			if err := inThread(s.Lab, func() (err error) { held, err = take(); return err }); err != nil {
				t.Fatal(err)
			}
			defer runtime.KeepAlive(held)
			var log logged
			table := s.open(nft.Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, warnings[name]) {
				t.Errorf("the log does not warn of it (%s):\n%s", warnings[name], text)
			}
			s.mustOpen(table, crashed(netip.AddrPortFrom(v4.servers, 4000)))
			if err := table.Release(); err != nil {
				t.Error(err)
			}
			if _, err := s.tryCloseOrphans(); err != nil {
				t.Error(err)
			}
		})
	}
}

// inThread runs f in the gateway, in a thread that ends with it.
func inThread(l *lab.Lab, f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := unix.Setns(l.Gateway.Namespace(), unix.CLONE_NEWNET)
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// ownForeign is another program that owns a table and knows no lock.
func ownForeign() error {
	c, err := nftables.New(nftables.AsLasting())
	if err != nil {
		return err
	}
	foreign = c
	table := c.AddTable(&nftables.Table{
		Name: os.Getenv("NFT_TEST_FOREIGN"), Family: nftables.TableFamilyINet, Flags: nftables.TableFlagOwner})
	c.AddChain(&nftables.Chain{Table: table, Name: "forward"})
	return c.Flush()
}

var foreign *nftables.Conn // holds the table until the process ends

func TestOwnedByAForeignProgram(t *testing.T) {
	labtest.NeedRoot(t)
	s := &scene{labtest.New(t, lab.Options{}), t, nft.Features{}}
	cmd := s.start("NFT_TEST_FOREIGN=" + nft.DefaultName)
	_, err := s.tryOpen(nft.Config{})
	s.wantHolder(err, cmd.Process.Pid)
	_, err = s.tryCloseOrphans()
	s.wantHolder(err, cmd.Process.Pid)

	// Without the right to look at its descriptors its netlink port is the pid.
	err = withRights(s.Lab, 1<<unix.CAP_NET_ADMIN, func() error {
		_, err := nft.Open(nft.Config{Owner: true})
		return err
	})
	s.wantHolder(err, cmd.Process.Pid)
}

func TestHolderIsNamedWithoutRights(t *testing.T) {
	eachKernel(t, func(s *scene) {
		cmd := s.startOther(netip.AddrPortFrom(v4.servers, 4000))
		err := withRights(s.Lab, 0, func() error {
			_, err := nft.CloseOrphans("")
			return err
		})
		s.wantHolder(err, cmd.Process.Pid)
	})
}

func TestCloseOrphansOfNoTable(t *testing.T) {
	eachKernel(t, func(s *scene) {
		s.open(nft.Config{})
		err := s.Gateway.Do(func() error {
			_, err := nft.CloseOrphans("ftpgatte")
			return err
		})
		if !errors.Is(err, nft.ErrNoTable) || !strings.Contains(err.Error(), "there is no table inet ftpgatte") {
			s.Errorf("got %v, want that there is no such table", err)
		}
	})
}
