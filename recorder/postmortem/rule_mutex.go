package postmortem

import (
	"cmp"
	"slices"
)

var ruleMutex = rule{
	kind: "mutex",
	is: "threads have been waiting for a mutex for two seconds or more. A mutex is told from " +
		"what idle threads wait on by the value in its futex, " +
		"as glibc and musl set it, or by priority inheritance",
	sure: "likely if it is more than one mutex: a deadlock; else possible",
	find: func(c *facts) []Sign {
		const long = 2 * longBlocked
		if c.outcome != Running {
			return nil
		}
		by := make(map[uint32][]*Blocked)
		for i := range c.b.blocked {
			if in := &c.b.blocked[i]; in.mutex && !in.timeout && in.ForNs >= long {
				by[in.tgid] = append(by[in.tgid], in)
			}
		}
		var list []Sign
		for _, p := range c.b.live(c.main) {
			waiting := by[p.host]
			if len(waiting) == 0 || c.b.inFutex(p) >= c.b.alive(p) { // all of them: ruleDeadlock
				continue
			}
			slices.SortFunc(waiting, func(x, y *Blocked) int {
				return cmp.Or(cmp.Compare(y.ForNs, x.ForNs), cmp.Compare(x.Tid, y.Tid))
			})
			list = append(list, c.mutexes(p, waiting))
		}
		return list
	},
}

// mutexes says for what the threads of a process wait, those that wait longest first.
func (c *facts) mutexes(p *proc, waiting []*Blocked) Sign {
	locks := make(map[uint64]bool)
	text := ""
	var evidence []Event
	for i, in := range waiting {
		locks[in.futexAt] = true
		if i < 2 {
			if i > 0 {
				text += " and "
			}
			text += c.b.thread(p, in.Tid, in.Comm)
		}
		if len(evidence) < 4 && in.Since != nil {
			evidence = append(evidence, Event{Time: *in.Since, Pid: in.Pid, Tid: in.Tid,
				Comm: in.Comm, Text: in.Text})
		}
	}
	if n := len(waiting); n > 2 {
		text += " and " + counted(uint64(n-2), "other")
	}
	text += " of process " + c.b.who(p)
	least := duration(waiting[len(waiting)-1].ForNs)
	s := Sign{Certainty: Possible, Count: uint64(len(waiting)), Evidence: evidence, use: doing}
	if len(locks) > 1 {
		s.Certainty = Likely
		s.Text = text + " have been waiting for " + counted(uint64(len(locks)), "lock") +
			" in futex for " + least + " or longer, without a timeout: it looks like a deadlock"
	} else if len(waiting) > 1 {
		s.Text = text + " have been waiting for one lock in futex for " + least + " or longer"
	} else {
		s.Text = text + " has been waiting for a lock in futex for " + least
	}
	for i := range c.b.blocked {
		// Who holds it may wait for something else.
		if in := &c.b.blocked[i]; in.tgid == p.host && in.Kind == "io" && in.ForNs >= longBlocked &&
			len(locks) == 1 {
			s.use = beside
		}
	}
	return s
}
