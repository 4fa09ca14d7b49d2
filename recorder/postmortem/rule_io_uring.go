package postmortem

var ruleIOUring = rule{
	kind: "io-uring",
	is:   "a process used io_uring, and what it did through it is in no recording: `lacks` says so, too",
	sure: "certain; likely if only the kernel's threads for it were seen",
	find: func(c *facts) []Sign {
		u := &c.b.uring
		if u.first == nil {
			return nil
		}
		who := counted(uint64(len(u.procs)), "process")
		for p := range u.procs {
			if len(u.procs) == 1 {
				who = c.b.who(p)
			}
		}
		how := Certain
		if !u.called {
			how = Likely
		}
		return one(how, u.submitted, who+" used io_uring: what it did through it is not recorded", *u.first)
	},
}
