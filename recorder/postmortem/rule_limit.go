package postmortem

var ruleLimit = rule{
	kind: "limit",
	is: "a call failed as a limit of its own is reached, whatever its error says: locked memory, " +
		"inotify and epoll watches, asynchronous I/O, pending " +
		"signals, shared memory, semaphores",
	sure: "certain that it failed",
	use:  beside,
	find: func(c *facts) []Sign {
		var list []Sign
		for _, f := range c.failures() {
			if what := f.limit(); what != "" && what != noProcesses[eAGAIN] &&
				f.weight >= chainWeight && f.found == "" {
				s := one(Certain, f.count, f.sentence(), f.ev)
				s[0].said = f.sentence()
				list = s // the last one
			}
		}
		return list
	},
}
