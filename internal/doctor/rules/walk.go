package rules

import (
	"golang.org/x/sys/unix"
)

// Fate is what becomes of a packet in a base chain.
type Fate struct {
	Dropped bool  // if rules that only may match do not
	By      *Rule // that decided it; nil: the chain's policy

	// Otherwise are rules that may match and would have led to another end.
	Otherwise []*Rule

	// Hits are the rules that match, or may, up to there.
	Hits []Hit
}

// Hit is a rule that matches, or may match.
type Hit struct {
	Rule    *Rule
	Certain bool
}

// Verdicts as the kernel has them.
const (
	verdictDrop     = 0
	verdictAccept   = 1
	verdictQueue    = 3
	verdictContinue = -1
	verdictBreak    = -2
	verdictJump     = -3
	verdictGoto     = -4
	verdictReturn   = -5
)

// branch is a verdict, and the chain it leads to.
type branch struct {
	verdict int32
	chain   string
}

func newBranch(a attributes) branch {
	return branch{int32(a.number(unix.NFTA_VERDICT_CODE)), a.text(unix.NFTA_VERDICT_CHAIN)}
}

// Walk takes a packet through a base chain.
func (r *Ruleset) Walk(c *Chain, p Packet) Fate {
	w := r.walker(p)
	switch w.chain(c, true, 0) {
	case accepted:
	case dropped:
		w.fate.Dropped = true
	case through:
		w.fate.Dropped = c.Drops
	}
	w.fate.Otherwise = w.accepts
	if !w.fate.Dropped {
		w.fate.Otherwise = w.drops
	}
	return w.fate
}

// walker is one walk.
type walker struct {
	rules          *Ruleset
	packet         Packet
	network        value // its headers
	transport      value
	fate           Fate
	accepts, drops []*Rule // that may match
}

func (r *Ruleset) walker(p Packet) *walker {
	return &walker{rules: r, packet: p, network: p.network(), transport: p.transport()}
}

// end is how a chain ended.
type end int

const (
	through end = iota // at its last rule, or by return
	accepted
	dropped
)

const deepest = 16 // jumps, in the kernel

// chain walks one chain. If it is not certain that the packet comes here, the
// chain decides nothing.
func (w *walker) chain(c *Chain, certain bool, depth int) end {
	if c == nil || depth > deepest {
		return through
	}
	for _, r := range c.Rules {
		branches, matches := w.rule(r)
		if matches == no {
			continue
		}
		sure := certain && matches == yes
		w.fate.Hits = append(w.fate.Hits, Hit{r, sure})
		for _, b := range branches {
			decided, leaves := w.take(r, b, sure && len(branches) == 1, depth)
			if leaves && matches == yes && len(branches) == 1 {
				return decided
			}
		}
	}
	return through
}

// take follows a verdict of a rule. It says how the walk ends, and whether it
// leaves the chain.
func (w *walker) take(r *Rule, b branch, sure bool, depth int) (how end, leaves bool) {
	switch b.verdict {
	case verdictAccept, verdictQueue:
		return w.decide(r, accepted, sure), true
	case verdictDrop:
		return w.decide(r, dropped, sure), true
	case verdictReturn:
		if !sure {
			w.accepts = append(w.accepts, r) // who returns may be accepted later
		}
		return through, true
	case verdictJump, verdictGoto:
		how = w.chain(w.rules.named(r.Chain, b.chain), sure, depth+1)
		return how, how != through || b.verdict == verdictGoto
	}
	return through, false
}

func (w *walker) decide(r *Rule, how end, sure bool) end {
	switch {
	case sure:
		w.fate.By = r
	case how == accepted:
		w.accepts = append(w.accepts, r)
	default:
		w.drops = append(w.drops, r)
	}
	return how
}

// rule says whether a packet matches, and what verdicts it may get; none: it
// goes on to the next rule.
func (w *walker) rule(r *Rule) (branches []branch, matches answer) {
	s := &step{walker: w, rule: r, registers: unknownRegisters, matches: yes}
	for _, e := range r.exprs {
		s.take(e)
		if s.matches == no {
			return nil, no
		}
		if s.branches != nil {
			break
		}
	}
	return s.branches, s.matches
}
