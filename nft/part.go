package nft

import "github.com/google/nftables"

// A part is what comes into the ruleset and goes out of it in one transaction.
type part struct {
	chains []*nftables.Chain // of its own: others have their chain in the static ruleset
	sets   []filledSet
	rules  []*nftables.Rule
}

// filledSet is a set that is made with its elements.
type filledSet struct {
	*nftables.Set
	elements []nftables.SetElement
}

// enqueue adds the part to the next batch.
func (p part) enqueue(c *nftables.Conn) error {
	for _, ch := range p.chains {
		c.AddChain(ch)
	}
	for _, s := range p.sets {
		if err := c.AddSet(s.Set, s.elements); err != nil {
			return err
		}
	}
	for _, r := range p.rules {
		c.AddRule(r)
	}
	return nil
}

// remove deletes the part in the next batch.
func (p part) remove(c *nftables.Conn) error {
	for _, r := range p.rules {
		if err := c.DelRule(r); err != nil {
			return err
		}
	}
	for _, s := range p.sets {
		c.DelSet(s.Set)
	}
	for _, ch := range p.chains {
		c.DelChain(ch)
	}
	return nil
}
