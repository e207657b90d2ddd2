package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
)

// PassPorts are ports of this host at which a Pinhole with Flows admits. They
// lead to as many ports of a backend, First to the port of To.
type PassPorts struct {
	First, Last uint16
	To          netip.AddrPort
}

// check says what makes the ports none.
func (p PassPorts) check() error {
	switch {
	case p.First == 0 || p.Last < p.First:
		return errors.New("no range of ports")
	case !p.To.IsValid() || p.To.Addr().IsUnspecified() || p.To.Port() == 0:
		return errors.New("needs the address and port of a backend")
	case int(p.To.Port())+int(p.Last-p.First) > 1<<16-1:
		return errors.New("leads beyond port 65535")
	}
	return nil
}

// passTargets says where each port leads, by family.
type passTargets [2]map[uint16]netip.AddrPort

func newPassTargets(ports []PassPorts) (passTargets, error) {
	targets := passTargets{{}, {}}
	for _, p := range ports {
		if err := p.check(); err != nil {
			return targets, fmt.Errorf("ports %d-%d to %v: %w", p.First, p.Last, p.To, err)
		}
		to := plain(p.To.Addr())
		of := targets[half(to)]
		for i := range int(p.Last-p.First) + 1 {
			port, target := p.First+uint16(i), netip.AddrPortFrom(to, p.To.Port()+uint16(i))
			if other, ok := of[port]; ok && other != target {
				return targets, fmt.Errorf("port %d leads to %v and to %v", port, other, target)
			}
			of[port] = target
		}
	}
	return targets, nil
}

// SetPass says to which ports of which backends a Pinhole with Flows admits.
// Ports that stay keep admitting meanwhile; connections that run stay anyway.
func (t *Table) SetPass(ports []PassPorts) error {
	next, err := newPassTargets(ports)
	if err != nil {
		return fmt.Errorf("set the ports to pass: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range next {
		if err := t.setPass(i, next[i]); err != nil {
			return fmt.Errorf("set the ports to pass: %w", classify(err))
		}
	}
	return nil
}

// passBatch keeps the messages of a transaction far below the socket's buffer.
const passBatch = 200

// setPass changes the ports of one family, some at a time.
func (t *Table) setPass(half int, next map[uint16]netip.AddrPort) error {
	now := t.pass[half]
	differs := func(a, b map[uint16]netip.AddrPort) (ports []uint16) {
		for port, to := range a {
			if b[port] != to {
				ports = append(ports, port)
			}
		}
		return ports
	}
	for chunk := range slices.Chunk(differs(now, next), passBatch) {
		err := t.commit(func() error { return t.remove(t.rules.halves[half].passTo, passToElements(now, chunk)) })
		if err != nil {
			return err
		}
		for _, port := range chunk {
			delete(now, port)
		}
	}
	for chunk := range slices.Chunk(differs(next, now), passBatch) {
		err := t.commit(func() error {
			return t.conn.SetAddElements(t.rules.halves[half].passTo, passToElements(next, chunk))
		})
		if err != nil {
			return err
		}
		for _, port := range chunk {
			now[port] = next[port]
		}
	}
	return nil
}

// fillPass writes all ports into a table that has none.
func (t *Table) fillPass() error {
	for i, to := range t.pass {
		for chunk := range slices.Chunk(slices.Collect(maps.Keys(to)), passBatch) {
			if err := t.conn.SetAddElements(t.rules.halves[i].passTo, passToElements(to, chunk)); err != nil {
				return err
			}
			if err := t.conn.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// passToElements has the port first: see loadPass.
func passToElements(to map[uint16]netip.AddrPort, ports []uint16) []nftables.SetElement {
	elements := make([]nftables.SetElement, 0, len(ports))
	for _, port := range ports {
		elements = append(elements, nftables.SetElement{
			Key: binary.BigEndian.AppendUint16(nil, port),
			Val: append(binary.BigEndian.AppendUint16(nil, to[port].Port()), append([]byte{0, 0}, to[port].Addr().AsSlice()...)...),
		})
	}
	return elements
}
