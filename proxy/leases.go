package proxy

import (
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"time"
)

// leaseKey is what makes a pinhole unique: who dials what.
type leaseKey struct {
	from netip.Addr
	at   netip.AddrPort
	bits int // not 0: from is a prefix of so many bits
}

type activeShare struct{ backend, client netip.Addr }

func (p *pinhole) key() leaseKey { return keyOf(p.rule.From, p.rule.At, p.rule.Peers) }

func keyOf(from netip.Addr, at netip.AddrPort, bits int) leaseKey {
	if bits > 0 {
		prefix, _ := from.Prefix(bits) // cannot fail: bits fit the family
		from = prefix.Addr()
	}
	return leaseKey{from, at, bits}
}

// find returns the pinhole that a connection came through: one for its address
// alone, or one for a prefix that has it. The caller holds mu.
func (ps *pinholes) find(from netip.Addr, at netip.AddrPort) *pinhole {
	if p := ps.open[leaseKey{from, at, 0}]; p != nil {
		return p
	}
	for bits := range ps.wide {
		if bits <= from.BitLen() {
			if p := ps.open[keyOf(from, at, bits)]; p != nil {
				return p
			}
		}
	}
	return nil
}

// activeShareOf bounds what one client can take of a backend's active ports:
// an eighth, so that a few clients cannot leave the others without.
func activeShareOf(r PortRange) int { return max(1, r.Size()/8) }

// randomBelow returns an unpredictable number below n.
func randomBelow(n int) int {
	var seed [4]byte
	_, _ = rand.Read(seed[:]) // never fails
	return int(binary.NativeEndian.Uint32(seed[:]) % uint32(n))
}

// lease takes the next port from the first-th on that is free for p.
func (ps *pinholes) lease(p *pinhole, ports PortRange, at netip.Addr, first int) bool {
	size := ports.Size()
	ps.mu.Lock()
	defer ps.mu.Unlock()
	active := p.share != activeShare{}
	if active && ps.share[p.share] >= activeShareOf(ports) {
		return false
	}
	for i := range size {
		port := ports.First + uint16((first+i)%size)
		p.rule.At = netip.AddrPortFrom(at, port)
		if ps.open[p.key()] == nil {
			ps.open[p.key()] = p
			if p.rule.Peers > 0 {
				ps.wide[p.rule.Peers] = struct{}{}
			}
			if active {
				ps.share[p.share]++
			}
			return true
		}
	}
	return false
}

// release gives the port back. It reports whether p still held it.
func (ps *pinholes) release(p *pinhole) bool {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if _, ok := ps.passes[p]; ok {
		delete(ps.passes, p)
		return true
	}
	if ps.open[p.key()] != p {
		return false
	}
	delete(ps.open, p.key())
	if !p.connected.Load() {
		p.released = time.Now()
		ps.gone[newsKey{p.rule.From, p.rule.At, p.rule.To}] = p
	}
	if p.share != (activeShare{}) {
		if ps.share[p.share]--; ps.share[p.share] == 0 {
			delete(ps.share, p.share)
		}
	}
	return true
}
