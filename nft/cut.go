package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"ftpgate/nft/conntrack"
)

// cutLife is how long a cut connection is kept from coming back: as long as TCP
// goes on sending what nobody acknowledges.
const cutLife = 15 * time.Minute

// Cut ends a connection that runs, if its flow still has the id; it may be gone.
// Whoever sends gets a reset, whoever only receives hears nothing. The pinhole
// that let it in is gone by then, or it is closed first.
//
// To delete a flow would not do where nothing translates what was dialled: the
// next packet makes a new flow, and with an admin's masquerade that has the old
// addresses. The rules take such packets to this host, which resets them.
func (t *Table) Cut(orig conntrack.Tuple, id uint32) error {
	orig = orig.Plain()
	if !orig.Src.IsValid() || orig.Src.Addr().Is4() != orig.Dst.Addr().Is4() {
		return fmt.Errorf("cut connection %v: needs addresses of one family", orig)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	err := t.commit(func() error {
		s, e := t.rules.halves[half(orig.Src.Addr())].cut, cutElement(orig)
		if err := t.remove(s, e); err != nil {
			return err
		}
		return t.conn.SetAddElements(s, e)
	})
	if err != nil {
		err = fmt.Errorf("keep it from coming back: %w", classify(err)) // most do not
	}
	if !t.closed {
		err = errors.Join(err, t.flows.Cut(orig, id))
	}
	if err != nil {
		return fmt.Errorf("cut connection %v: %w", orig, err)
	}
	return nil
}

func cutElement(orig conntrack.Tuple) []nftables.SetElement {
	key := slices.Concat(orig.Src.Addr().AsSlice(), orig.Dst.Addr().AsSlice())
	for _, port := range []uint16{orig.Src.Port(), orig.Dst.Port()} {
		key = append(binary.BigEndian.AppendUint16(key, port), 0, 0)
	}
	return []nftables.SetElement{{Key: key}}
}

func (r *ruleset) newCut(f *family) *nftables.Set {
	s := newSet(r.table, "cut"+f.suffix, f.addr, f.addr, nftables.TypeInetService, nftables.TypeInetService)
	s.HasTimeout, s.Timeout, s.Size = true, cutLife, mapSize
	return s
}

// cutRules see the first packet of a flow that is none of a connection: of one
// that was cut, it goes to this host and not where it wants.
func (r *ruleset) cutRules(c *nftables.Chain) {
	for i := range families {
		f, h, w := &families[i], &r.halves[i], families[i].words()
		noSYN := isSYN()
		noSYN[len(noSYN)-1].(*expr.Cmp).Op = expr.CmpOpNeq
		r.rule(c, slices.Concat(f.isTCP(), noSYN, []expr.Any{
			f.loadSource(keyReg), f.loadDest(keyReg + w),
			&expr.Payload{DestRegister: keyReg + 2*w, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 2},
			loadPort(keyReg + 2*w + 1),
		}, lookup(h.cut, 0), []expr.Any{&expr.Redir{}})...)
	}
}

func cutText() []string {
	return []string{
		"tcp flags != syn / fin,syn,rst,ack ip saddr . ip daddr . tcp sport . tcp dport @cut4 redirect",
		"tcp flags != syn / fin,syn,rst,ack ip6 saddr . ip6 daddr . tcp sport . tcp dport @cut6 redirect",
	}
}
