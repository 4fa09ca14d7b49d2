package postmortem

import (
	"github.com/recorderd/recorderd/recorder/strace"
)

var ruleStopped = rule{
	kind: "stopped",
	is:   "the process was stopped by a signal, and has done nothing since",
	sure: "certain",
	use:  doing,
	find: func(c *facts) []Sign {
		if c.outcome != Running || c.main == nil || c.main.stopped == nil {
			return nil
		}
		s := c.main.stopped
		text := "stopped by " + strace.SignalName(s.sig) + c.b.from(c.main, s) + " " +
			duration(c.end-min(s.ev.ns, c.end)) + " ago, and not continued"
		return one(Certain, 0, text, s.ev)
	},
}
