package postmortem

import (
	"github.com/recorderd/recorderd/recorder/replay"
)

var ruleExecFailed = rule{
	kind: "exec-failed",
	is:   "a program could not be executed",
	sure: "certain; that it is the interpreter (`#!`) or loader that is missing is possible: the " +
		"kernel says `ENOENT` for that, too",
	find: func(c *facts) []Sign {
		list := c.pick("a program could not be executed", Certain,
			func(f *failure) bool { return executes(f.call) && f.found == "" })
		for _, f := range c.failures() {
			if executes(f.call) && f.errno == eNOENT && f.found == "" {
				return append(list, one(Possible, 0,
					"if "+replay.Safe(f.file)+" is there, the interpreter in its first line or "+
						"its loader is missing: "+
						"the kernel says ENOENT for both", f.ev)...)
			}
		}
		return list
	},
}

func executes(call string) bool { return call == "execve" || call == "execveat" }
