package conntrack

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// ErrNotFound says that conntrack has no such flow.
var ErrNotFound = errors.New("no such flow in conntrack")

// A Conn asks conntrack. Its methods may be called concurrently.
type Conn struct{ nl *netlink.Conn }

// Dial connects to conntrack.
func Dial() (*Conn, error) { return DialIn(0) }

// DialIn connects to the conntrack of the network namespace that a descriptor
// refers to; 0 is that of the calling thread.
func DialIn(namespace int) (*Conn, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: namespace})
	if err != nil {
		return nil, fmt.Errorf("connect to conntrack: %w", err)
	}
	return &Conn{nl}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.nl.Close() }

// Get returns the flow that began with the tuple.
func (c *Conn) Get(orig Tuple) (Flow, error) { return c.get(orig, ctaTupleOrig) }

// GetReply returns the flow whose answers have the tuple.
func (c *Conn) GetReply(reply Tuple) (Flow, error) { return c.get(reply, ctaTupleReply) }

func (c *Conn) get(t Tuple, attr uint16) (Flow, error) {
	t = t.plain()
	m, err := request(msgGet, 0, t.Src.Addr(), func(ae *netlink.AttributeEncoder) { t.encode(ae, attr) })
	if err != nil {
		return Flow{}, fmt.Errorf("get flow %v: %w", t, err)
	}
	replies, err := c.nl.Execute(m)
	switch {
	case errors.Is(err, unix.ENOENT):
		return Flow{}, fmt.Errorf("get flow %v: %w", t, ErrNotFound)
	case err != nil:
		return Flow{}, fmt.Errorf("get flow %v: %w", t, err)
	case len(replies) != 1:
		return Flow{}, fmt.Errorf("get flow %v: %d answers", t, len(replies))
	}
	f, err := parse(replies[0].Data)
	if err != nil {
		return Flow{}, fmt.Errorf("get flow %v: %w", t, err)
	}
	return f, nil
}

// Delete removes the flow that began with the tuple; it may be missing. A
// connection whose flow is deleted is cut, if its addresses are translated.
func (c *Conn) Delete(orig Tuple) error { return c.delete(orig.plain(), 0) }

// delete removes a flow only if it has the id; 0 is any.
func (c *Conn) delete(orig Tuple, id uint32) error {
	m, err := request(msgDelete, netlink.Acknowledge, orig.Src.Addr(), func(ae *netlink.AttributeEncoder) {
		orig.encode(ae, ctaTupleOrig)
		if id != 0 {
			ae.Uint32(ctaID, id)
		}
	})
	if err == nil {
		_, err = c.nl.Execute(m)
	}
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("delete flow %v: %w", orig, err)
	}
	return nil
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
	replies, err := c.nl.Execute(m)
	if err != nil {
		return nil, fmt.Errorf("dump flows: %w", err)
	}
	flows := make([]Flow, 0, len(replies))
	for _, r := range replies {
		f, err := parse(r.Data)
		if errors.Is(err, errNotTCP) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("dump flows: %w", err)
		}
		if f.Mark&mask == mark { // a kernel may filter by less
			flows = append(flows, f)
		}
	}
	return flows, nil
}

// Clear makes way for a connection whose answers would have the tuple. What an
// earlier one left there would swallow its first SYN. A flow with the mark that
// is not established is deleted; any other keeps the tuple busy.
func (c *Conn) Clear(reply Tuple, mark uint32) (busy bool, err error) {
	f, err := c.GetReply(reply)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if f.Mark&mark != mark || f.State == Established {
		return true, nil
	}
	return false, c.delete(f.Orig, f.ID)
}

// EnableAccounting has flows that begin from now on count their bytes.
func EnableAccounting() error {
	const path = "/proc/sys/net/netfilter/nf_conntrack_acct"
	if err := os.WriteFile(path, []byte("1\n"), 0); err != nil {
		return fmt.Errorf("count the bytes of flows: %w", err)
	}
	return nil
}

func (t Tuple) plain() Tuple {
	return Tuple{
		Src: netip.AddrPortFrom(t.Src.Addr().Unmap().WithZone(""), t.Src.Port()),
		Dst: netip.AddrPortFrom(t.Dst.Addr().Unmap().WithZone(""), t.Dst.Port()),
	}
}
