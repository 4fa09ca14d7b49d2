package postmortem

import (
	"strings"
)

var ruleOutOfProcesses = rule{
	kind: "out-of-processes",
	is:   "a process or thread could not be started: `EAGAIN` of `clone`, `fork`",
	sure: "certain",
	use:  beside,
	find: func(c *facts) []Sign {
		list := c.pick("no process or thread could be started", Certain, func(f *failure) bool {
			return f.errno == eAGAIN && (strings.HasPrefix(f.call, "clone") ||
				strings.HasSuffix(f.call, "fork")) && f.found == ""
		})
		for i := range list {
			list[i].Text += ": " + noProcesses[eAGAIN]
			if u := c.main.usage; u != nil && u.PidsMax != 0 {
				list[i].Text += "; the limit of its cgroup is " + itoa(u.PidsMax)
			}
			if text := c.zombies(1); text != "" {
				list[i].Text += "; " + text
			}
		}
		return list
	},
}

var ruleZombies = rule{
	kind: "zombies",
	is: "ten and more children of a process have ended, and it has not waited for them. Not " +
		"known if calls are missing",
	sure: "certain",
	use:  beside,
	find: func(c *facts) []Sign {
		if text := c.zombies(10); text != "" {
			return one(Certain, 0, text)
		}
		return nil
	},
}

// zombies says how many children wait for their parent to wait for them, "" if these are
// fewer than that, or it is not known.
func (c *facts) zombies(least uint64) string {
	cover := &c.b.h.Recording.Coverage
	if c.outcome != Running || !c.b.complete() || cover.Overwritten > 0 || cover.BeganLate {
		return ""
	}
	for _, p := range c.b.live(c.main) {
		if n := p.childEnds - min(p.reaped, p.childEnds); !p.ignoresChildren && n >= least {
			return counted(n, "ended child process") + " of " + c.b.who(p) +
				" are zombies: it has not waited for them"
		}
	}
	return ""
}
