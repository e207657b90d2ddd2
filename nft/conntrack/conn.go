package conntrack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNotFound says that conntrack has no such flow.
var ErrNotFound = errors.New("no such flow in conntrack")

// A Conn asks conntrack. Its methods may be called concurrently.
type Conn struct {
	mu     sync.Mutex // held from a question to its answer
	nl     *netlink.Conn
	raw    syscall.RawConn // of nl
	buffer []byte          // for dumps
	usual  atomic.Int64    // how many flows a dump had last
}

// Dial connects to conntrack.
func Dial() (*Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("connect to conntrack: %w", err)
	}
	raw, err := nl.SyscallConn()
	if err != nil {
		nl.Close()
		return nil, fmt.Errorf("connect to conntrack: %w", err)
	}
	return &Conn{nl: nl, raw: raw}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.nl.Close() }

// Get returns the flow that began with the tuple.
func (c *Conn) Get(orig Tuple) (Flow, error) { return c.get(orig, ctaTupleOrig) }

// GetReply returns the flow whose answers have the tuple.
func (c *Conn) GetReply(reply Tuple) (Flow, error) { return c.get(reply, ctaTupleReply) }

func (c *Conn) get(t Tuple, attr uint16) (Flow, error) {
	t = t.Plain()
	m, err := request(msgGet, 0, t.Src.Addr(), func(ae *netlink.AttributeEncoder) { t.encode(ae, attr) })
	if err != nil {
		return Flow{}, fmt.Errorf("get flow %v: %w", t, err)
	}
	buffer := buffers.Get().(*[maxMessage]byte)
	defer buffers.Put(buffer) // when the flow has been read out of it
	answer, err := c.one(m, buffer[:])
	switch {
	case errors.Is(err, unix.ENOENT):
		return Flow{}, fmt.Errorf("get flow %v: %w", t, ErrNotFound)
	case err != nil:
		return Flow{}, fmt.Errorf("get flow %v: %w", t, err)
	}
	f, err := parse(answer.Data)
	if err != nil {
		return Flow{}, fmt.Errorf("get flow %v: %w", t, err)
	}
	return f, nil
}

var buffers = sync.Pool{New: func() any { return new([maxMessage]byte) }}

// one sends a message and reads into b the one that answers it. Conntrack says of the
// only answer to a get that more will follow, for which the library would wait
// for ever.
func (c *Conn) one(m netlink.Message, b []byte) (netlink.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent, err := c.nl.Send(m)
	if err != nil {
		return netlink.Message{}, err
	}
	for {
		n, err := read(c.raw, b)
		if err != nil {
			return netlink.Message{}, err
		}
		answer, _, more, err := split(b[:n])
		switch {
		case err != nil:
			return netlink.Message{}, err
		case !more || answer.Header.Sequence != sent.Header.Sequence:
		case answer.Header.Type == netlink.Error:
			return netlink.Message{}, status(answer)
		default:
			return answer, nil
		}
	}
}

// execute sends a message and reads all its answers.
func (c *Conn) execute(m netlink.Message) ([]netlink.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nl.Execute(m)
}

// Delete removes the flow that began with the tuple; it may be missing. A
// connection whose flow is deleted is cut, if its addresses are translated.
func (c *Conn) Delete(orig Tuple) error { return c.delete(orig.Plain(), 0) }

// Cut is Delete for one flow: another that has taken its tuple since, and so has
// another id, stays. Who sends comes to an end by it only if nothing gives the
// flow's addresses to what is sent next: nft.Table.Cut sees to that.
func (c *Conn) Cut(orig Tuple, id uint32) error {
	orig = orig.Plain()
	if id == 0 {
		return fmt.Errorf("cut flow %v: 0 is no id", orig)
	}
	return c.delete(orig, id)
}

// delete removes a flow only if it has the id; 0 is any.
func (c *Conn) delete(orig Tuple, id uint32) error {
	m, err := deletion(orig, id, netlink.Acknowledge)
	if err == nil {
		_, err = c.execute(m)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete flow %v: %w", orig, err)
	}
	return nil
}

func deletion(orig Tuple, id uint32, flags netlink.HeaderFlags) (netlink.Message, error) {
	return request(msgDelete, flags, orig.Src.Addr(), func(ae *netlink.AttributeEncoder) {
		orig.encode(ae, ctaTupleOrig)
		if id != 0 {
			ae.Uint32(ctaID, id)
		}
	})
}

// Dump returns the TCP flows whose mark has these bits under the mask.
func (c *Conn) Dump(mark, mask uint32) ([]Flow, error) {
	m, err := request(msgGet, netlink.Dump, netip.Addr{}, func(ae *netlink.AttributeEncoder) {
		ae.Uint32(ctaMark, mark)
		ae.Uint32(ctaMarkMask, mask)
	})
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	usual := c.usual.Load()
	flows := make([]Flow, 0, usual+usual/8)
	err = c.each(m, func(answer netlink.Message) error {
		f, err := parse(answer.Data)
		switch {
		case errors.Is(err, errNotTCP):
			return nil
		case err == nil && f.Mark&mask == mark: // a kernel may filter by less
			flows = append(flows, f)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	c.usual.Store(int64(len(flows)))
	return flows, nil
}

// Clear makes way for a connection whose answers would have the tuple. What an
// earlier one left there would swallow its first SYN. A flow with the mark that
// is not established is deleted; any other keeps the tuple busy. was is what was
// there; with the ID 0 nothing was.
func (c *Conn) Clear(reply Tuple, mark uint32) (was Flow, busy bool, err error) {
	was, err = c.GetReply(reply)
	if errors.Is(err, ErrNotFound) {
		return Flow{}, false, nil
	}
	if err != nil {
		return Flow{}, false, err
	}
	if was.Mark&mark != mark || was.State == Established {
		return was, true, nil
	}
	return was, false, c.delete(was.Orig, was.ID)
}

// EnableAccounting has flows that begin from now on count their bytes.
func EnableAccounting() error {
	const path = "/proc/sys/net/netfilter/nf_conntrack_acct"
	if err := os.WriteFile(path, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("count the bytes of flows: %w", err)
	}
	return nil
}

// Plain returns the tuple as conntrack has it: without IPv4 addresses in IPv6.
func (t Tuple) Plain() Tuple {
	return Tuple{
		Src: netip.AddrPortFrom(t.Src.Addr().Unmap().WithZone(""), t.Src.Port()),
		Dst: netip.AddrPortFrom(t.Dst.Addr().Unmap().WithZone(""), t.Dst.Port()),
	}
}
