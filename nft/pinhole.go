package nft

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/google/nftables"
)

// A Pinhole admits one TCP connection. From, At, To and Source are of one
// family; IPv4 addresses mapped into IPv6 count as IPv4. Without a Source the
// connection keeps its own, as one to a listener of the gateway host should.
//
// With Peers, such as 24, one connection from anywhere in From's prefix passes.
// Source has no port then. A pinhole for From alone goes before one with Peers.
//
// With Flows it is a pass: At, To and Source have no ports, and it admits From
// to all ports that SetPass declared for To, each to the port that it leads to,
// again and again, Flows connections at a time, until it expires unrenewed or is
// closed; connections that run then stay. Who opens the same one again, under
// another Comment, shares it: the last to close it ends it, they count as one,
// and the Flows and Source of who opened or renewed it last are those of all.
type Pinhole struct {
	From    netip.Addr     // who may dial
	Peers   int            // not 0: any one address that has so many bits in common with From
	At      netip.AddrPort // the address and port that it dials
	To      netip.AddrPort // where the kernel takes it
	Source  netip.AddrPort // what it leaves from; zero: From. Port 0: the port it came from, or any when that is taken
	Flows   int            // 0: it admits once. Otherwise it is a pass: see below
	Timeout time.Duration  // unused, it is gone after this; 0: Config.Timeout
	Comment string         // shown by nft list; at most 120 bytes are kept
}

// Listed is a pinhole as the kernel has it. Timeout is what it was given.
type Listed struct {
	Pinhole
	Remaining time.Duration
}

func (p Pinhole) String() string {
	if !p.Source.IsValid() {
		return fmt.Sprintf("%s -> %v -> %v", p.from(), p.At, p.To)
	}
	return fmt.Sprintf("%s -> %v -> %v from %v", p.from(), p.At, p.To, p.Source)
}

// from is who may dial, in words.
func (p Pinhole) from() string {
	if p.Peers > 0 {
		return fmt.Sprintf("%v/%d", p.From, p.Peers)
	}
	return p.From.String()
}

// key is what a pinhole matches: it can be open once.
type key struct {
	from  netip.Addr
	at    netip.AddrPort
	peers int
}

func (p Pinhole) key() key { return key{p.From, p.At, p.Peers} }

// maxComment keeps under the 128 bytes that nft shows, its zero byte included.
const maxComment = 120

// normal returns the pinhole in the one form that is written, or says what
// makes it none.
func (p Pinhole) normal(timeout time.Duration) (Pinhole, error) {
	p.From = plain(p.From)
	p.At = netip.AddrPortFrom(plain(p.At.Addr()), p.At.Port())
	p.To = netip.AddrPortFrom(plain(p.To.Addr()), p.To.Port())
	p.Source = p.source(plain(p.Source.Addr()), p.Source.Port())
	if p.Timeout == 0 {
		p.Timeout = timeout
	}
	p.Comment = printable(p.Comment)

	for _, a := range []netip.Addr{p.From, p.At.Addr(), p.To.Addr(), p.sourceAddr()} {
		if !a.IsValid() || a.IsUnspecified() || a.Is4() != p.From.Is4() {
			return p, fmt.Errorf("pinhole %v: needs addresses of one family", p)
		}
	}
	if p.Source.Port() != 0 && !p.Source.IsValid() {
		return p, fmt.Errorf("pinhole %v: needs an address to its source port", p)
	}
	if err := p.checkPeers(); err != nil {
		return p, fmt.Errorf("pinhole %v: %w", p, err)
	}
	if p.Flows != 0 {
		if err := p.checkPass(); err != nil {
			return p, fmt.Errorf("pinhole %v: %w", p, err)
		}
	} else if p.At.Port() == 0 || p.To.Port() == 0 {
		return p, fmt.Errorf("pinhole %v: needs a port to dial and a port to reach", p)
	}
	if p.Timeout < time.Millisecond {
		return p, fmt.Errorf("pinhole %v: timeout %v is below the kernel's millisecond", p, p.Timeout)
	}
	return p, nil
}

// source is a Source in its one form: whoever leaves from his own address and
// any port keeps his source.
func (p Pinhole) source(a netip.Addr, port uint16) netip.AddrPort {
	if port == 0 && a == p.From {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a, port)
}

// sourceAddr is the address from which the connection leaves.
func (p Pinhole) sourceAddr() netip.Addr {
	if a := p.Source.Addr(); a.IsValid() {
		return a
	}
	return p.From
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// printable keeps a comment from breaking the line in which nft shows it.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '?'
		}
		return r
	}, s)
	return s[:min(len(s), maxComment)]
}

// Elements. Every field of a key or datum fills whole 4-byte registers.

// original is the key by which the rules know a pinhole's connection: who dials
// what, before any translation.
func (k key) original() []byte {
	return appendAddrPort(k.from.AsSlice(), k.at)
}

func appendAddrPort(b []byte, ap netip.AddrPort) []byte {
	b = append(b, ap.Addr().AsSlice()...)
	b = binary.BigEndian.AppendUint16(b, ap.Port())
	return append(b, 0, 0)
}

func (p Pinhole) dnatElement() []nftables.SetElement {
	return []nftables.SetElement{{
		Key: p.key().original(), Val: appendAddrPort(nil, p.To),
		Timeout: p.Timeout, Comment: p.Comment,
	}}
}

// sourceElement is for active (with a port) or via (without), or for the set of
// those that keep their source, whoever comes. It outlives the pinhole's own
// element by a second, so that whoever passes finds his source.
func (p Pinhole) sourceElement() []nftables.SetElement {
	e := nftables.SetElement{Key: p.key().original(), Timeout: p.Timeout + time.Second, Comment: p.Comment}
	switch {
	case p.Source.Port() != 0:
		e.Val = appendAddrPort(nil, p.Source)
	case p.Source.IsValid() || p.Peers == 0:
		e.Val = p.sourceAddr().AsSlice()
	}
	return []nftables.SetElement{e}
}

// parseOriginal reads what original wrote; ok is false for any other length.
func parseOriginal(b []byte) (k key, ok bool) {
	n := (len(b) - 4) / 2
	if len(b) != 12 && len(b) != 36 {
		return key{}, false
	}
	k.from, _ = netip.AddrFromSlice(b[:n])
	k.at, ok = parseAddrPort(b[n:])
	return k, ok
}

func parseAddrPort(b []byte) (netip.AddrPort, bool) {
	if len(b) != 8 && len(b) != 20 {
		return netip.AddrPort{}, false
	}
	n := len(b) - 4
	a, ok := netip.AddrFromSlice(b[:n])
	return netip.AddrPortFrom(a, binary.BigEndian.Uint16(b[n:])), ok
}
