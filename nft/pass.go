package nft

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
)

// passKey is what tells one pass from another: they admit to all ports of a
// backend, so that the port is not part of it.
type passKey struct{ from, at, to netip.Addr }

func (p Pinhole) passKey() passKey { return passKey{p.From, p.At.Addr(), p.To.Addr()} }

// A pass is a Pinhole with Flows, as it was opened or renewed last. The sessions
// of one client to one backend share it: it stays until the last one closes it.
type pass struct {
	Pinhole
	source   sourceKind // sourceOut or sourceVia
	deadline time.Time  // by our clock
	holders  []string   // the comments with which it was opened
}

// openPass opens a pass, or gives one that is open another holder and a fresh
// timeout. The caller holds mu.
func (t *Table) openPass(p Pinhole) error {
	if err := t.addLimit(p.Flows); err != nil {
		return err
	}
	before, was := t.book.passes[p.passKey()]
	now := time.Now()
	kind, fresh := t.book.place(p, now)
	err := t.commit(func() error {
		if was {
			if err := t.removePass(before); err != nil {
				return err
			}
		}
		if fresh {
			if err := t.enqueueFresh(p); err != nil {
				return err
			}
		}
		return t.enqueuePass(p, kind)
	})
	if err != nil {
		return classify(err)
	}
	if fresh {
		t.book.out[p.To.Addr()] = p.Source.Addr()
	}
	holders := before.holders
	if !slices.Contains(holders, p.Comment) {
		holders = append(holders, p.Comment)
	}
	t.book.passes[p.passKey()] = pass{p, kind, now.Add(p.Timeout), holders}
	return nil
}

// renewPass is openPass for who holds the pass. Other than a pinhole it can come
// late: nothing consumes a pass, so nothing wrong is opened again.
func (t *Table) renewPass(p Pinhole) error {
	if !slices.Contains(t.book.passes[p.passKey()].holders, p.Comment) {
		return ErrMissing
	}
	return t.openPass(p)
}

// closePass ends one holder's part in a pass, and with the last one the pass.
func (t *Table) closePass(p Pinhole) error {
	open, ok := t.book.passes[p.passKey()]
	i := slices.Index(open.holders, p.Comment)
	switch {
	case !ok || i < 0:
		return nil
	case len(open.holders) > 1:
		open.holders = slices.Delete(open.holders, i, i+1)
		t.book.passes[p.passKey()] = open
		return nil
	}
	if err := t.commit(func() error { return t.removePass(open) }); err != nil {
		return classify(err)
	}
	delete(t.book.passes, p.passKey())
	return nil
}

func (t *Table) enqueuePass(p Pinhole, kind sourceKind) error {
	h := &t.rules.halves[half(p.From)]
	if kind == sourceVia {
		if err := t.conn.SetAddElements(h.passVia, p.passSourceElement()); err != nil {
			return err
		}
	}
	return t.conn.SetAddElements(t.rules.passSet(p), p.passElement())
}

func (t *Table) removePass(p pass) error {
	h := &t.rules.halves[half(p.From)]
	if err := t.remove(t.rules.passSet(p.Pinhole), p.passElement()); err != nil || p.source != sourceVia {
		return err
	}
	return t.remove(h.passVia, p.passSourceElement())
}

// addLimit makes sets and rules for passes of so many connections, unless they
// are there.
// The caller holds mu.
func (t *Table) addLimit(flows int) error {
	if slices.Contains(t.limits, flows) {
		return nil
	}
	var l limit
	err := t.commit(func() error {
		l = t.rules.newLimit(flows)
		for _, s := range l.sets {
			if err := t.conn.AddSet(s, nil); err != nil {
				return err
			}
		}
		for _, r := range l.rules {
			t.conn.AddRule(r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("limit to %d connections: %w", flows, err)
	}
	t.rules.addLimit(l)
	t.limits = append(t.limits, flows)
	return nil
}

// Elements.

func (k passKey) bytes() []byte {
	return slices.Concat(k.from.AsSlice(), k.at.AsSlice(), k.to.AsSlice())
}

func (p Pinhole) passElement() []nftables.SetElement {
	return []nftables.SetElement{{
		Key: p.passKey().bytes(), Timeout: p.Timeout, Comment: p.Comment,
	}}
}

func (p Pinhole) passSourceElement() []nftables.SetElement {
	return []nftables.SetElement{{
		Key: p.passKey().bytes(), Val: p.sourceAddr().AsSlice(),
		Timeout: p.Timeout + time.Second, Comment: p.Comment,
	}}
}

// passSetName is where passes of so many connections are.
func passSetName(f *family, flows int) string { return fmt.Sprintf("pass%s_%d", f.suffix, flows) }

// passSetFlows is how many connections the passes of a set of that name may have.
func passSetFlows(name string, f *family) (flows int, ok bool) {
	number, ok := strings.CutPrefix(name, "pass"+f.suffix+"_")
	flows, err := strconv.Atoi(number)
	return flows, ok && err == nil
}

// parsePass makes a pass of its element, without its source and Flows.
func parsePass(e nftables.SetElement) (Pinhole, bool) {
	n := len(e.Key) / 3
	if len(e.Key) != 12 && len(e.Key) != 48 {
		return Pinhole{}, false
	}
	p := Pinhole{Timeout: e.Timeout, Comment: e.Comment}
	addr := func(i int) netip.Addr { a, _ := netip.AddrFromSlice(e.Key[i*n : (i+1)*n]); return a }
	p.From, p.At, p.To = addr(0), netip.AddrPortFrom(addr(1), 0), netip.AddrPortFrom(addr(2), 0)
	return p, true
}

// listPasses lists a family's passes, with the sources that are their own. Which
// limits there are only the kernel knows, of a table that another process has.
func listPasses(c *nftables.Conn, f *family, h *halfMaps, sets []*nftables.Set) ([]Listed, error) {
	var all []Listed
	for _, s := range sets {
		flows, ok := passSetFlows(s.Name, f)
		if !ok {
			continue
		}
		elements, err := c.GetSetElements(s)
		if err != nil {
			return nil, err
		}
		for _, e := range elements {
			if p, ok := parsePass(e); ok {
				p.Flows, p.Timeout = flows, cmp.Or(e.Timeout, s.Timeout, h.dnat.Timeout)
				all = append(all, Listed{p, e.Expires})
			}
		}
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, ownSources(c, h, all)
}

// ownSources reads the sources of passes that do not leave it to their target.
func ownSources(c *nftables.Conn, h *halfMaps, passes []Listed) error {
	elements, err := c.GetSetElements(h.passVia)
	if err != nil {
		return err
	}
	sources := map[string]netip.AddrPort{}
	for _, e := range elements {
		sources[string(e.Key)] = parseSource(e.Val)
	}
	for i := range passes {
		passes[i].Source = sources[string(passes[i].passKey().bytes())]
	}
	return nil
}

// checkPass says what makes a Pinhole with Flows none.
func (p Pinhole) checkPass() error {
	const most = 1 << 16
	switch {
	case p.Flows < 0 || p.Flows > most:
		return fmt.Errorf("flows %d: not from 1 to %d", p.Flows, most)
	case p.At.Port() != 0 || p.To.Port() != 0 || p.Source.Port() != 0:
		return errors.New("one with flows has no ports")
	}
	return nil
}
