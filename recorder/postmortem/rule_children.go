package postmortem

import (
	"cmp"
	"slices"
)

var ruleCrashedChild = rule{
	kind: "crashed-child",
	is:   "processes other than the main one died of a crash",
	sure: "certain",
	use:  beside | reason | recent,
	find: func(c *facts) []Sign { return badChildren(c, true) },
}

var ruleFailingChildren = rule{
	kind: "failing-children",
	is:   "three processes and more of one name, other than the main one, ended alike, badly",
	sure: "certain",
	use:  beside,
	find: func(c *facts) []Sign { return badChildren(c, false) },
}

// badChildren looks for processes that crash, or end badly again and again: three of both
// together at most.
func badChildren(c *facts, crashed bool) []Sign {
	b := c.b
	var list []Sign
	var all []*crowd
	for _, one := range b.crowds {
		all = append(all, one)
	}
	slices.SortFunc(all, func(x, y *crowd) int {
		return cmp.Or(cmp.Compare(y.count, x.count), cmp.Compare(x.last.end, y.last.end),
			cmp.Compare(x.last.host, y.last.host))
	})
	shown := 0
	for _, one := range all {
		p := one.last
		if p == c.main || slices.Contains(c.path, p) {
			continue
		}
		sig := int(p.status & 0x7f)
		crash := sig == 4 || sig == 5 || sig == 6 || sig == 7 || sig == 8 || sig == 11 || sig == 31
		if !crash && one.count < 3 || shown == 3 {
			continue
		}
		shown++
		text := counted(one.count, p.Comm+" process") + " " + endOf(p.status)
		if sig != 0 {
			text = counted(one.count, p.Comm+" process") + " ended, " + endOf(p.status)
		}
		var evidence []Event
		if f := p.weightiest(); f != nil {
			text += ", the last one after " + f.short + " failed with " + errnoName(f.errno)
			evidence = append(evidence, f.ev)
		}
		for i := range p.signals {
			if p.signals[i].sig == sig {
				evidence = append(evidence, p.signals[i].ev)
			}
		}
		if crash == crashed {
			list = append(list, Sign{Certainty: Certain, Count: one.count, Text: text,
				Evidence: evidence})
		}
	}
	return list
}

func (p *proc) weightiest() *failure {
	var best *failure
	for _, f := range p.fails {
		if f.weight >= verdictWeight && (best == nil || f.weight >= best.weight) {
			best = f
		}
	}
	return best
}
