package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
)

// listeners are the elements of the sets listen4, listen6 and listenport.
type listeners struct {
	addrs []netip.AddrPort // with a certain address
	ports []uint16         // of unspecified addresses
}

func newListeners(listen []netip.AddrPort) listeners {
	var l listeners
	for _, ap := range listen {
		if a := plain(ap.Addr()); a.IsUnspecified() || !a.IsValid() {
			l.ports = append(l.ports, ap.Port())
		} else {
			l.addrs = append(l.addrs, netip.AddrPortFrom(a, ap.Port()))
		}
	}
	slices.SortFunc(l.addrs, netip.AddrPort.Compare)
	slices.Sort(l.ports)
	l.addrs, l.ports = slices.Compact(l.addrs), slices.Compact(l.ports)
	return l
}

// minus returns what l has and other has not.
func (l listeners) minus(other listeners) listeners {
	return listeners{addrs: without(l.addrs, other.addrs), ports: without(l.ports, other.ports)}
}

// each calls write once for every set that has elements.
func (l listeners) each(r *ruleset, write func(*nftables.Set, []nftables.SetElement) error) error {
	var halves [2][]nftables.SetElement
	for _, ap := range l.addrs {
		i := half(ap.Addr())
		halves[i] = append(halves[i], nftables.SetElement{Key: appendAddrPort(nil, ap)})
	}
	for i := range halves {
		if err := write(r.halves[i].listen, halves[i]); err != nil {
			return err
		}
	}
	return write(r.listenPort, portElements(l.ports))
}

func portElements(ports []uint16) []nftables.SetElement {
	var elements []nftables.SetElement
	for _, p := range ports {
		elements = append(elements, nftables.SetElement{Key: binary.BigEndian.AppendUint16(nil, p)})
	}
	return elements
}

// half is the index of an address's family in families and ruleset.halves.
func half(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// SetListen changes the control listeners whose connections are marked.
// Connections that are marked already keep their mark.
func (t *Table) SetListen(listen []netip.AddrPort) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := newListeners(slices.Concat(listen, targets(t.intercepts)))
	if err := t.commit(func() error { return t.enqueueListen(next) }); err != nil {
		return fmt.Errorf("change the marked listeners: %w", classify(err))
	}
	t.marked, t.listen = slices.Clone(listen), next
	return nil
}

// enqueueListen adds the change of the marked listeners to the next batch.
func (t *Table) enqueueListen(next listeners) error {
	if err := next.minus(t.listen).each(t.rules, t.conn.SetAddElements); err != nil {
		return err
	}
	return t.listen.minus(next).each(t.rules, t.remove)
}
