package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// An Intercept says which connections through this host come to a listener of
// ours instead of where they go. What goes to the host itself is left alone, and
// so is what the host dials.
type Intercept struct {
	From       []netip.Prefix   // whose; needed
	Except     []netip.Prefix   // not from there and not to there
	Interfaces []string         // on which they arrive; none: any
	Ports      []uint16         // which they dial; needed
	To         []netip.AddrPort // the listener, one for each family of From; with an unspecified address the port alone counts
}

// normal returns the Intercept in the one form that is written, or says what
// makes it none.
func (in Intercept) normal() (Intercept, error) {
	in.From, in.Except = normalPrefixes(in.From), normalPrefixes(in.Except)
	in.Interfaces = slices.Compact(slices.Sorted(slices.Values(in.Interfaces)))
	in.Ports = slices.Compact(slices.Sorted(slices.Values(in.Ports)))
	switch {
	case len(in.From) == 0:
		return in, errors.New("needs to know whose connections to take") // all of them would make an open proxy
	case len(in.Ports) == 0 || in.Ports[0] == 0:
		return in, errors.New("needs ports, from 1 to 65535")
	}
	for _, p := range slices.Concat(in.From, in.Except) {
		if !p.IsValid() {
			return in, errors.New("has a prefix that is none")
		}
	}
	for _, name := range in.Interfaces {
		if name == "" || len(name) > maxInterface || strings.ContainsAny(name, "*/ \t\n") {
			return in, fmt.Errorf("%q is no name of an interface", name)
		}
	}
	for _, p := range in.From {
		if _, ok := in.target(half(p.Addr())); !ok {
			return in, fmt.Errorf("takes connections from %v to no listener of that family", p)
		}
	}
	return in, nil
}

// maxInterface is IFNAMSIZ without its zero byte.
const maxInterface = 15

// target returns the listener for a family. One on [::] takes both.
func (in Intercept) target(family int) (netip.AddrPort, bool) {
	var wide netip.AddrPort
	for _, to := range in.To {
		switch a := plain(to.Addr()); {
		case to.Port() == 0:
		case a.IsUnspecified() || !a.IsValid():
			wide = netip.AddrPortFrom(netip.IPv6Unspecified(), to.Port())
		case half(a) == family:
			return netip.AddrPortFrom(a, to.Port()), true
		}
	}
	return wide, wide.IsValid()
}

func normalPrefixes(prefixes []netip.Prefix) []netip.Prefix {
	var all []netip.Prefix
	for _, p := range prefixes {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		all = append(all, netip.PrefixFrom(p.Addr().WithZone(""), p.Bits()).Masked())
	}
	return all
}

// SetIntercept replaces, in one transaction, what is intercepted: nil ends it.
// Connections that run stay as they are. The connections get our mark, and the
// listener learns what they dialled by SO_ORIGINAL_DST or IP6T_SO_ORIGINAL_DST.
func (t *Table) SetIntercept(intercepts []Intercept) error {
	next := make([]Intercept, len(intercepts))
	for i, in := range intercepts {
		var err error
		if next[i], err = in.normal(); err != nil {
			return fmt.Errorf("intercept %d: %w", i+1, err)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var made part
	listen := newListeners(slices.Concat(t.marked, targets(next)))
	err := t.commit(func() error {
		if err := t.rules.intercept.remove(t.conn); err != nil {
			return err
		}
		made = t.rules.newIntercept(next)
		if err := made.enqueue(t.conn); err != nil {
			return err
		}
		return t.enqueueListen(listen)
	})
	if err != nil {
		return fmt.Errorf("change what is intercepted: %w", classify(err))
	}
	t.rules.intercept, t.intercepts, t.listen = made, next, listen
	return nil
}

// targets are the listeners to which connections are taken: control listeners
// like others.
func targets(intercepts []Intercept) (all []netip.AddrPort) {
	for _, in := range intercepts {
		for family := range families {
			if to, ok := in.target(family); ok {
				all = append(all, to)
			}
		}
	}
	return all
}
