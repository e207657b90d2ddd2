// Package stand puts gateways to the test: each kind in a lab of its own,
// between a load generator and an FTP server that are the same for all.
//
//	st, err := stand.New(ctx, kind, setting)
//	defer st.Close()
//	outcome, err := st.Load.Do(load.Job{Do: load.Transfers, Server: st.Kind.Target, …})
//
// All stands live side by side, so that kinds can be measured in turn; one that
// is not measured has nothing to do. Everything is in the namespaces of its lab
// and in processes that die with this one.
package stand

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"ftpgate/internal/lab"
	"ftpgate/internal/lab/bench/load"
	"ftpgate/internal/lab/debian"
	"ftpgate/internal/lab/pki"
)

// Setting is what all stands share.
type Setting struct {
	Self     string       // this program; "load" and "serve" are its generator and server
	Program  string       // ftpgate
	Profiled string       // ftpgate that can be profiled
	Profile  string       // where it writes that
	Peers    *debian.Tree // HAProxy and the like; nil if no kind wants it
	Dir      string       // for configurations and logs
	Files    []int64      // sizes of the files to download, /zero-SIZE each
}

// Stand is one kind at work.
type Stand struct {
	Kind  Kind
	Lab   *lab.Lab
	Load  *load.Agent // the generator
	Probe *load.Agent // a second one, which runs beside it

	setting   Setting
	dir       string
	authority *pki.Authority // of the stand's certificates; nil before the first
	server    *lab.Cmd
	gateway   *lab.Cmd // nil where the kernel is the gateway
}

// New builds a stand and returns when files have come through it.
func New(ctx context.Context, k Kind, s Setting) (*Stand, error) {
	st := &Stand{Kind: k, setting: s, dir: filepath.Join(s.Dir, k.Name)}
	if err := st.build(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", k.Name, err), st.Close())
	}
	return st, nil
}

// Close ends everything in the stand.
func (st *Stand) Close() error {
	if st.Lab == nil {
		return nil
	}
	return st.Lab.Close()
}

func (st *Stand) build(ctx context.Context) error {
	if err := os.MkdirAll(st.dir, 0o755); err != nil {
		return err
	}
	var err error
	if st.Lab, err = lab.New(lab.Options{NoIPv6: true, Routed: st.Kind.routed}); err != nil {
		return err
	}
	for _, h := range []*lab.Host{st.Lab.Client, st.Lab.Gateway, st.Lab.Server} {
		for _, p := range parameters {
			if err := h.Sysctl(p.key, p.value); err != nil && !(p.conntrack && errors.Is(err, fs.ErrNotExist)) {
				return err
			}
		}
	}
	if err := st.serve(ctx); err != nil {
		return err
	}
	if st.Load, err = load.StartAgent(ctx, st.Lab.Client, st.setting.Self, "load"); err != nil {
		return err
	}
	if st.Probe, err = load.StartAgent(ctx, st.Lab.Client, st.setting.Self, "load"); err != nil {
		return err
	}
	if err := st.Restart(ctx); err != nil {
		return err
	}
	return st.tryTransfers()
}

// parameters keep TIME_WAIT from filling the port space, in sockets and in
// conntrack, and one transfer from teaching the next. A kernel without conntrack
// loaded has none of its parameters, and no entries.
var parameters = []struct {
	key, value string
	conntrack  bool
}{
	{"net.ipv4.ip_local_port_range", "16384 60999", false},
	{"net.ipv4.tcp_max_tw_buckets", "512", false},
	{"net.ipv4.tcp_tw_reuse", "1", false},
	{"net.ipv4.tcp_no_metrics_save", "1", false},
	{"net.netfilter.nf_conntrack_tcp_timeout_time_wait", "1", true},
	{"net.netfilter.nf_conntrack_tcp_timeout_close", "1", true},
}

// serve starts the FTP server in its own process.
func (st *Stand) serve(ctx context.Context) error {
	args := []string{"serve"}
	if st.Kind.masquerade {
		args = append(args, "-advertise", lab.WanV4.String(),
			"-first", strconv.Itoa(firstStatic), "-last", strconv.Itoa(lastStatic))
	}
	if st.Kind.serverTLS {
		c, err := st.certify(lab.ServerV4)
		if err != nil {
			return err
		}
		args = append(args, "-certificate", c.chain, "-key", c.key)
	}
	for _, size := range st.setting.Files {
		args = append(args, strconv.FormatInt(size, 10))
	}
	st.server = st.Lab.Server.Command(ctx, st.setting.Self, args...)
	st.server.Stderr = os.Stderr
	return st.server.Start()
}

// Restart starts the gateway, afresh if it runs, and returns when a client has
// logged in through it.
func (st *Stand) Restart(ctx context.Context) error {
	if st.gateway != nil {
		st.gateway.Stop()
		st.gateway = nil
	}
	if st.Kind.start != nil {
		if err := st.Kind.start(ctx, st); err != nil {
			return err
		}
	}
	return st.waitReady(ctx)
}

// Do has the load generator do a job at this stand.
func (st *Stand) Do(j load.Job) (load.Outcome, error) { return st.Load.Do(st.Job(j)) }

// Job is a job at this stand.
func (st *Stand) Job(j load.Job) load.Job {
	j.Server, j.TLS = st.Kind.Target, st.Kind.TLS
	return j
}

// Fetch downloads a file of one of the sizes that there are, some times.
func (st *Stand) Fetch(ctx context.Context, size int64) (load.Outcome, error) {
	if !st.Kind.FTP() {
		return st.Kind.fetch(ctx, st, size)
	}
	return st.Do(load.Job{Do: load.Bulk, Bytes: size})
}

// launch starts the gateway's process. What it says goes to a file.
func (st *Stand) launch(cmd *lab.Cmd) error {
	log, err := os.OpenFile(st.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = nil, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	st.gateway = cmd
	return nil
}

func (st *Stand) logFile() string { return filepath.Join(st.dir, "log") }

// Log returns the end of what the gateway said.
func (st *Stand) Log() string {
	text, err := os.ReadFile(st.logFile())
	if err != nil {
		return ""
	}
	return string(text[max(0, len(text)-4096):])
}

// waitReady returns when a session through the gateway comes about.
func (st *Stand) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		err := st.tryOnce(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no session comes about: %w\n%s", err, st.Log())
		case <-time.After(10 * time.Millisecond): // until the next try
		}
	}
}

func (st *Stand) tryOnce(ctx context.Context) error {
	if !st.Kind.FTP() { // a large file also: it is in memory then
		_, err := st.Fetch(ctx, st.setting.Files[0])
		return err
	}
	_, err := st.Do(load.Job{Do: load.Noops, Count: 1})
	return err
}

// tryTransfers fetches a file in each mode that the kind can do.
func (st *Stand) tryTransfers() error {
	if !st.Kind.FTP() {
		return nil
	}
	for _, active := range []bool{false, true} {
		if active && !st.Kind.Active {
			continue
		}
		_, err := st.Do(load.Job{Do: load.Transfers, Active: active, Sessions: 1})
		if err != nil {
			return fmt.Errorf("no file comes through it (active: %t): %w\n%s", active, err, st.Log())
		}
	}
	return nil
}

// Drained returns when no TCP connection of earlier work is left at the server.
func (st *Stand) Drained(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		n, err := sockets(st.server.Process.Pid)
		if err != nil {
			return err
		}
		if n <= 1 { // its listener
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %d connections are left at the server", st.Kind.Name, n-1)
		case <-time.After(10 * time.Millisecond): // until the next look
		}
	}
}
