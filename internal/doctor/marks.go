package doctor

import (
	"context"
	"fmt"
	"sync"

	"ftpgate/internal/doctor/rules"
)

// markTaken looks for rules of others that set, take away or tell our bit. One
// that accepts what carries it is what we ask for.
func markTaken(_ context.Context, h *host) ([]Finding, error) {
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	mark := h.file.NFT.Mark
	free := sync.OnceValue(func() string { return freeBit(h, all) })
	var found []Finding
	for _, c := range h.foreign(all) {
		for _, r := range c.Rules {
			f := Finding{About: fmt.Sprintf("%v handle %d", c, r.Handle)}
			switch all.MarkUse(r, mark) {
			case rules.Changes:
				f.Severity = Warning
				f.Seen = fmt.Sprintf("%s changes the bit 0x%08x of the conntrack mark, which is nft.mark", name(r), mark)
				f.Why = "your firewall then accepts what is not ours, or drops what is"
			case rules.Matches:
				f.Severity = Notice
				f.Seen = fmt.Sprintf("%s does something to connections that have the bit 0x%08x of the conntrack mark, which is nft.mark", name(r), mark)
				f.Why = "it does so to ours"
			default:
				continue
			}
			f.Edit = free()
			found = append(found, f)
		}
	}
	return found, nil
}

// foreign are the chains of others, of the families that we have to do with.
func (h *host) foreign(all *rules.Ruleset) []*rules.Chain {
	var chains []*rules.Chain
	for _, c := range all.Chains {
		if (c.Family == "inet" || c.Family == "ip" || c.Family == "ip6") && !c.Of("inet", h.file.NFT.Table) {
			chains = append(chains, c)
		}
	}
	return chains
}

// freeBit says which bit nobody uses.
func freeBit(h *host, all *rules.Ruleset) string {
	const highest = 31
	for bit := range highest + 1 {
		mark := uint32(1) << (highest - bit)
		free := true
		for _, c := range h.foreign(all) {
			for _, r := range c.Rules {
				free = free && all.MarkUse(r, mark) == rules.NoUse
			}
		}
		if free {
			return fmt.Sprintf("write mark = \"0x%08x\" in [nft], a bit that no rule uses, restart ftpgate, and change your accept rules", mark)
		}
	}
	return fmt.Sprintf("no bit is free: have that rule change its own bits alone, e.g. ct mark set ct mark & 0x%08x | VALUE", h.file.NFT.Mark)
}
