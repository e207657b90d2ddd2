package nft

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"ftpgate/nft/conntrack"
)

// Defaults of Config.
const (
	DefaultName    = "ftpgate"
	DefaultMark    = 0x400
	DefaultTimeout = time.Minute
)

// Config says which table to keep. The zero value is a plain table of the
// default name that marks no control connections.
type Config struct {
	Name    string           // of the table, family inet; "": DefaultName
	Mark    uint32           // one bit of the conntrack mark; 0: DefaultMark
	Owner   bool             // own the table where the kernel can
	Listen  []netip.AddrPort // control listeners, whose connections are marked too; an unspecified address stands for any
	Timeout time.Duration    // of pinholes that do not say; 0: DefaultTimeout
	Without Features         // features not to use though the kernel has them
	Logger  *slog.Logger     // nil: silent
}

func (c Config) defaults() Config {
	if c.Name == "" {
		c.Name = DefaultName
	}
	if c.Mark == 0 {
		c.Mark = DefaultMark
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

func (c Config) check() error {
	if c.Mark&(c.Mark-1) != 0 {
		return fmt.Errorf("mark %#x: must be one bit", c.Mark)
	}
	if c.Timeout < time.Millisecond {
		return fmt.Errorf("timeout %v: must be a millisecond or more", c.Timeout)
	}
	return nil
}

// A Table is our table in the kernel. Its methods may be called concurrently.
type Table struct {
	cfg             Config
	features        Features
	log             *slog.Logger
	reinstalls      atomic.Uint64
	acceptReinserts atomic.Uint64
	lock            *tableLock      // nil when it could not be had
	monitor         *monitor        // for Watch
	flows           *conntrack.Conn // tells used pinholes from open ones

	// mu is held from the first message enqueued on conn to the end of its
	// Flush: messages of two callers must not share a batch.
	mu         sync.Mutex
	conn       *nftables.Conn   // owns the table
	rules      *ruleset         // as installed last
	handle     uint64           // of the table as installed last
	marked     []netip.AddrPort // as SetListen has them
	intercepts []Intercept
	listen     listeners // marked, and where connections are intercepted to
	relay      []uint16
	pass       passTargets
	limits     []int     // the Flows of passes that were opened
	lengths    []wideKey // the Peers of pinholes that were opened
	routeMark  uint32    // of SetTransparent
	book       book
	accepts    []*acceptChain
	swept      bool // accept rules of the dead were looked for
	closed     bool

	handles *netlink.Conn // to ask for handle

	// readMu guards reader: long listings must not hold up Open. It is taken
	// after mu, if both are.
	readMu sync.Mutex
	reader *nftables.Conn // nil when closed
	strays [2]strays
}

// Open installs the table and returns when it is at work. What another Table of
// that name left is replaced in one transaction: its pinholes are closed, since
// nobody holds them, and running connections go on.
func Open(cfg Config) (*Table, error) {
	cfg = cfg.defaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	t := &Table{cfg: cfg, log: cfg.Logger, book: newBook(), marked: cfg.Listen, listen: newListeners(cfg.Listen), pass: passTargets{{}, {}}}
	err := t.take()
	if err != nil {
		t.hangUp()
		return nil, fmt.Errorf("open table inet %s: %w", cfg.Name, err)
	}
	if err = t.install(); err != nil {
		t.hangUp()
		return nil, fmt.Errorf("install table inet %s: %w", cfg.Name, err)
	}
	return t, nil
}

// Name returns the name of the table, whose family is inet.
func (t *Table) Name() string { return t.cfg.Name }

// Features returns what of the kernel's features is in use.
func (t *Table) Features() Features { return t.features }

// Owned reports whether nobody else can change the table.
func (t *Table) Owned() bool { return t.cfg.Owner && t.features.Owner }

// Reinstalls counts how often the table was put back after somebody removed it.
func (t *Table) Reinstalls() uint64 { return t.reinstalls.Load() }

// take keeps others from the table before anything is looked at.
func (t *Table) take() (err error) {
	if t.lock, err = lockTable(t.cfg.Name, t.log); err != nil {
		return err
	}
	return t.dial()
}

// dial opens every connection that will be needed, now: they belong to the
// network namespace of this thread, and to enter that later from another one
// would take more rights than CAP_NET_ADMIN.
func (t *Table) dial() (err error) {
	if t.conn, err = dial(); err != nil {
		return err
	}
	if t.reader, err = dial(); err != nil {
		return err
	}
	if t.handles, err = netlink.Dial(unix.NETLINK_NETFILTER, nil); err != nil {
		return err
	}
	if t.features, err = probe(t.conn); err != nil {
		return err
	}
	t.features = t.features.without(t.cfg.Without)
	if t.flows, err = conntrack.Dial(); err != nil {
		return err
	}
	port, err := t.conn.GetPortID()
	if err != nil {
		return err
	}
	if t.monitor, err = newMonitor(tableRef{nftables.TableFamilyINet, t.cfg.Name}, port); err != nil {
		return err
	}
	return t.watchWhatMatters()
}

// hangUp closes what take opened, as far as it came, the lock last.
func (t *Table) hangUp() {
	t.closed = true
	defer t.lock.release()
	if t.conn != nil {
		_ = t.conn.CloseLasting()
	}
	if t.handles != nil {
		_ = t.handles.Close()
	}
	if t.flows != nil {
		_ = t.flows.Close()
	}
	if t.monitor != nil {
		t.monitor.Close()
	}
	t.readMu.Lock()
	defer t.readMu.Unlock()
	if t.reader != nil {
		_ = t.reader.CloseLasting()
		t.reader = nil
	}
}

// dial opens a lasting connection. Buffers are set once, here; otherwise the
// library asks for their sizes at every Flush.
func dial() (*nftables.Conn, error) {
	return nftables.New(nftables.AsLasting(), nftables.WithSockOptions(
		func(c *netlink.Conn) error { return c.SetReadBuffer(8 << 20) },
		func(c *netlink.Conn) error { return c.SetWriteBuffer(1 << 20) },
	))
}

func (t *Table) flags() nftables.TableFlags {
	if t.Owned() {
		return nftables.TableFlagOwner | nftables.TableFlagPersist
	}
	return 0
}

// Release closes all pinholes and ends the Table. The table stays, empty: to
// delete it would cut running connections. The next Open takes it over.
func (t *Table) Release() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	t.book, t.listen, t.relay, t.pass, t.limits = newBook(), listeners{}, nil, passTargets{}, nil
	t.intercepts, t.lengths, t.routeMark = nil, nil, 0
	err := errors.Join(t.install(), t.setAccept(nil))
	t.hangUp()
	if err != nil {
		return fmt.Errorf("release table inet %s: %w", t.cfg.Name, err)
	}
	return nil
}

// Remove deletes the table and ends the Table. The caller knows that no
// connection runs through it.
func (t *Table) Remove() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return ErrClosed
	}
	t.conn.DelTable(t.rules.table)
	err := t.conn.Flush()
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	err = errors.Join(err, t.setAccept(nil))
	t.hangUp()
	if err != nil {
		return fmt.Errorf("remove table inet %s: %w", t.cfg.Name, err)
	}
	return nil
}
