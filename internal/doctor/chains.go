package doctor

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"ftpgate/internal/doctor/rules"
)

// block is a chain that drops what must pass.
type block struct {
	chain  *rules.Chain
	fate   rules.Fate // of the first journey
	first  journey
	what   []string
	always bool // whatever the client's address is
}

// controlBlocked foretells what the input chains of others do with control
// connections.
func controlBlocked(_ context.Context, h *host) ([]Finding, error) {
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, b := range h.blocks(all, h.control(unix.NF_INET_LOCAL_IN)) {
		f := b.finding("clients cannot log in")
		found = append(found, acceptPort(all, b.chain, b.first.at, zone(b.fate.Hits), h.file.NFT.Mark).add(f))
	}
	return found, nil
}

// dataBlocked foretells what the forward chains of others do with data, and their
// input chains where it is relayed.
func dataBlocked(_ context.Context, h *host) ([]Finding, error) {
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, b := range h.blocks(all, h.data()) {
		f := b.finding("logins work, but listings and files do not come through: an accept in our own table does not overrule the drop of another")
		found = append(found, acceptMark(all, b.chain, h.file.NFT.Mark).add(f))
	}
	return found, nil
}

// blocks are the chains that drop journeys.
func (h *host) blocks(all *rules.Ruleset, journeys []journey) []*block {
	var found []*block
	for _, j := range journeys {
		for _, c := range h.others(all, j) {
			if h.willAccept(c) {
				continue
			}
			fate := all.Walk(c, j.packet)
			if !fate.Dropped {
				continue
			}
			i := slices.IndexFunc(found, func(b *block) bool { return b.chain == c })
			if i < 0 {
				i = len(found)
				found = append(found, &block{chain: c, fate: fate, first: j})
			}
			b := found[i]
			if !slices.Contains(b.what, j.what) {
				b.what = append(b.what, j.what)
			}
			b.always = b.always || len(fate.Otherwise) == 0
		}
	}
	return found
}

// willAccept reports whether the daemon will put the accept rule into a chain when
// it starts (accept_in). Of one that runs, what is there counts.
func (h *host) willAccept(c *rules.Chain) bool {
	d := h.daemon()
	return !(d.runs && d.ours) && slices.Contains(h.file.NFT.AcceptIn, c.String())
}

// acceptIn looks for the chains that the configuration names.
func acceptIn(_ context.Context, h *host) ([]Finding, error) {
	all, err := h.ruleset()
	if err != nil {
		return nil, err
	}
	var found []Finding
	for _, name := range h.file.NFT.AcceptIn {
		if slices.ContainsFunc(all.Chains, func(c *rules.Chain) bool { return c.String() == name }) {
			continue
		}
		found = append(found, Finding{
			Severity: Warning, About: name, Seen: fmt.Sprintf("there is no chain %s, which accept_in names", name),
			Why:  "no accept rule is kept there, and if the chain comes later, it may drop before ftpgate has seen it",
			Edit: "start the firewall that has the chain, or correct accept_in (nft list chains has the names)",
		})
	}
	return found, nil
}

func (b *block) finding(why string) Finding {
	by := "its policy"
	if b.fate.By != nil {
		by = name(b.fate.By)
	}
	f := Finding{
		Severity: Error, About: b.chain.String(), Why: why,
		Seen: fmt.Sprintf("chain %v drops %s, by %s", b.chain, strings.Join(b.what, ", "), by),
	}
	if !b.always {
		f.Severity = Warning
		f.Seen += fmt.Sprintf("; only what %s matches may pass", name(b.fate.Otherwise[0]))
		f.Why = "for the others " + why
	}
	return f
}
