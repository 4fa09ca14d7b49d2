package postmortem

var ruleOOM = rule{
	kind: "oom",
	is:   "the OOM killer chose a process",
	sure: "certain",
	use:  beside,
	find: func(c *facts) []Sign {
		var list []Sign
		if c.outcome == OOM {
			who := "of which the recording has nothing"
			if c.main != nil {
				who = c.b.who(c.main) + c.main.usedUp()
			}
			s := one(Certain, 0, "the OOM killer chose process "+who)
			s[0].said = "OOM"
			list = append(list, s...)
		}
		for _, p := range c.b.all() {
			if p.OOM && (p != c.main || c.outcome != OOM) {
				list = append(list, one(Certain, 0,
					"the OOM killer chose process "+c.b.who(p)+p.usedUp())...)
			}
		}
		return list
	},
}
