package nft

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// CloseOrphans closes every pinhole in a table that no living process has, in
// whatever state it is, and says how many there were. It is for the emergency
// when the daemon is gone; the table itself stays. A name that no table has is
// ErrNoTable: somebody may have mistyped it and believe the holes closed.
func CloseOrphans(name string) (int, error) {
	if name == "" {
		name = DefaultName
	}
	n, err := closeOrphans(name)
	if err != nil {
		return n, fmt.Errorf("close the pinholes of table inet %s: %w", name, err)
	}
	return n, nil
}

func closeOrphans(name string) (int, error) {
	lock, err := lockTable(name, slog.New(slog.DiscardHandler))
	if err != nil {
		return 0, err
	}
	defer lock.release()
	c, err := dial()
	if err != nil {
		return 0, err
	}
	defer c.CloseLasting()
	features, err := probe(c)
	if err != nil {
		return 0, err
	}
	table, err := findTable(c, name)
	if err != nil {
		return 0, err
	}
	if table == nil {
		return 0, fmt.Errorf("%w inet %s", ErrNoTable, name)
	}
	if table.Flags&nftables.TableFlagOwner != 0 {
		return 0, ownedError(table)
	}
	sets, err := c.GetSets(table)
	if err != nil {
		return 0, err
	}
	// Another version may call its maps otherwise: what can expire is a pinhole,
	// but for what says who missed one. That can be a lot.
	sets = slices.DeleteFunc(sets, func(s *nftables.Set) bool { return !s.HasTimeout || notes(s) })
	return closeElements(c, features.Destroy, sets...)
}

// closeElements removes all elements of the sets, those that let somebody in
// first, and counts these. It never flushes a set: the kernel's message for that
// is not the library's.
func closeElements(c *nftables.Conn, destroy bool, sets ...*nftables.Set) (int, error) {
	const batch = 200
	closed := 0
	for _, s := range sets {
		elements, err := c.GetSetElements(s)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		if err != nil {
			return closed, err
		}
		for chunk := range slices.Chunk(elements, batch) {
			if err := remove(c, destroy, s, refreshed(chunk)); err != nil {
				return closed, err
			}
			if err := c.Flush(); err != nil {
				return closed, err
			}
		}
		if admits(s) {
			closed += len(elements)
		}
	}
	return closed, nil
}

// admits reports whether a set's elements let somebody in; others say from which
// source.
func admits(s *nftables.Set) bool {
	for i := range families {
		_, pass := passSetFlows(s.Name, &families[i])
		if pinholes, _ := holdsPinholes(s.Name, &families[i]); pass || pinholes {
			return true
		}
	}
	return strings.HasPrefix(s.Name, "dnat") // another version's
}

// refreshed returns the elements as they would be added, not as they were read.
func refreshed(elements []nftables.SetElement) []nftables.SetElement {
	for i := range elements {
		elements[i].Expires = 0
		elements[i].Timeout = max(elements[i].Timeout, time.Second)
	}
	return elements
}
