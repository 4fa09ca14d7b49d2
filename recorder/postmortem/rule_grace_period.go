package postmortem

import (
	"time"

	"github.com/recorderd/recorderd/recorder/strace"
)

var ruleGracePeriod = rule{
	kind: "grace-period",
	is:   "it caught or ignored a signal that asks to end, and was killed a second or more later",
	sure: "likely",
	find: func(c *facts) []Sign {
		if c.main == nil || c.outcome != Killed || c.status&0x7f != sigKILL {
			return nil
		}
		s := c.askedBefore(sigKILL)
		if s == nil || !s.deaf || c.end-s.ev.ns < uint64(time.Second) {
			return nil
		}
		text := "it was asked to end with " + strace.SignalName(s.sig) + " and had not " +
			duration(c.end-s.ev.ns) + " later, when it was killed"
		return one(Likely, 0, text, s.ev)
	},
}
