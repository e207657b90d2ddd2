package nft

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// List returns the pinholes that the kernel has, in the order of their keys. It
// does not hold up Open; what comes and goes meanwhile may be in the list or not.
// The kernel lists a map in quadratic time: 100 ms for 15 000 pinholes.
func (t *Table) List() ([]Listed, error) {
	t.mu.Lock()
	rules := t.rules
	t.mu.Unlock()
	t.readMu.Lock()
	defer t.readMu.Unlock()
	if t.reader == nil {
		return nil, ErrClosed
	}
	all, err := listAll(t.reader, rules)
	if err != nil {
		return nil, fmt.Errorf("list pinholes of table inet %s: %w", t.cfg.Name, err)
	}
	return all, nil
}

// Pinholes returns what List does, of a table that another process holds. No
// table has no pinholes.
func Pinholes(name string) ([]Listed, error) {
	c, err := dial()
	if err != nil {
		return nil, fmt.Errorf("list pinholes of table inet %s: %w", name, err)
	}
	defer c.CloseLasting()
	all, err := listAll(c, newRuleset(name, DefaultMark, DefaultTimeout, 0))
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil, nil
	case errors.Is(err, unix.EPERM):
		err = ErrPermission
	}
	if err != nil {
		return nil, fmt.Errorf("list pinholes of table inet %s: %w", name, err)
	}
	return all, nil
}

// listAll lists both families.
func listAll(c *nftables.Conn, r *ruleset) ([]Listed, error) {
	var all []Listed
	for i := range r.halves {
		l, err := list(c, &families[i], &r.halves[i])
		if err != nil {
			return nil, err
		}
		all = append(all, l...)
	}
	return all, nil
}

// list joins a family's pinholes with their sources.
func list(c *nftables.Conn, f *family, h *halfMaps) ([]Listed, error) {
	sets, err := c.GetSets(h.dnat.Table)
	if err != nil {
		return nil, err
	}
	all, err := listPinholes(c, f, sets)
	if err != nil {
		return nil, err
	}
	passes, err := listPasses(c, f, h, sets)
	if err != nil || len(all)+len(passes) == 0 {
		return nil, err
	}
	out := map[netip.Addr]netip.AddrPort{}
	elements, err := c.GetSetElements(h.out)
	if err != nil {
		return nil, err
	}
	for _, e := range elements {
		if a, ok := netip.AddrFromSlice(e.Key); ok {
			out[a] = parseSource(e.Val)
		}
	}
	all = append(all, passes...)
	for i := range all {
		l := &all[i]
		if l.Timeout == 0 { // the kernel does not say one that is the map's own
			l.Timeout = h.dnat.Timeout
		}
		if !l.Source.IsValid() {
			l.Source = out[l.To.Addr()]
		}
		l.Source = l.source(l.Source.Addr(), l.Source.Port())
	}
	slices.SortFunc(all, func(a, b Listed) int {
		return cmp.Or(a.At.Compare(b.At), a.From.Compare(b.From), a.To.Compare(b.To), cmp.Compare(a.Peers, b.Peers))
	})
	return all, nil
}

// listPinholes reads one family's pinholes, and the sources that are their own.
// Which lengths of prefixes there are only the kernel knows, of a table that
// another process has.
func listPinholes(c *nftables.Conn, f *family, sets []*nftables.Set) ([]Listed, error) {
	var all []Listed
	sources := map[key]netip.AddrPort{}
	for _, s := range sets {
		pinholes, peers := holdsPinholes(s.Name, f)
		if !pinholes && peers < 0 {
			continue
		}
		elements, err := c.GetSetElements(s)
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			k, ok := parseOriginal(e.Key)
			if !ok {
				continue // not written by us
			}
			k.peers = max(peers, 0)
			if !pinholes {
				sources[k] = parseSource(e.Val)
				if !s.IsMap { // whoever comes keeps his own
					sources[k] = netip.AddrPortFrom(k.from, 0)
				}
			} else if to, ok := parseAddrPort(e.Val); ok {
				p := Pinhole{From: k.from, Peers: k.peers, At: k.at, To: to, Timeout: cmp.Or(e.Timeout, s.Timeout), Comment: e.Comment}
				all = append(all, Listed{p, e.Expires})
			}
		}
	}
	for i := range all {
		all[i].Source = sources[all[i].key()]
	}
	return all, nil
}

func parseSource(b []byte) netip.AddrPort {
	if ap, ok := parseAddrPort(b); ok {
		return ap
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, 0)
}

// CloseAll closes every pinhole in the table and says how many there were. It
// replaces the table: to list and delete tens of thousands would take seconds.
func (t *Table) CloseAll() (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return 0, ErrClosed
	}
	n, err := t.count()
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return 0, fmt.Errorf("close all pinholes of table inet %s: %w", t.cfg.Name, err)
	}
	t.book.open, t.book.passes, t.book.spent = map[key]record{}, map[passKey]pass{}, nil
	t.limits, t.lengths = nil, nil
	if err := t.install(); err != nil {
		return 0, fmt.Errorf("close all pinholes of table inet %s: %w", t.cfg.Name, err)
	}
	return n, nil
}

// count says how many pinholes the kernel has. Beyond a size at which asking
// takes long it counts those that may be there.
func (t *Table) count() (int, error) {
	const large = 10_000
	if n := len(t.book.open) + len(t.book.passes); n > large {
		return n, nil
	}
	sets, err := t.conn.GetSets(t.rules.table)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, s := range sets {
		if !admits(s) {
			continue
		}
		elements, err := t.conn.GetSetElements(s)
		if err != nil {
			return 0, err
		}
		n += len(elements)
	}
	return n, nil
}

// String is the pinhole as nft list prints its element.
func (l Listed) String() string {
	if l.Flows > 0 {
		return fmt.Sprintf("%v . %v . %v timeout %v expires %v comment %q, %d at a time", l.From, l.At.Addr(), l.To.Addr(),
			l.Timeout, l.Remaining.Round(time.Millisecond), l.Comment, l.Flows)
	}
	return fmt.Sprintf("%v . %v . %d timeout %v expires %v comment %q : %v . %d", l.from(), l.At.Addr(), l.At.Port(),
		l.Timeout, l.Remaining.Round(time.Millisecond), l.Comment, l.To.Addr(), l.To.Port())
}
